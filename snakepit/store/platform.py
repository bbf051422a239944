"""What the store asks of the operating system: memory files, mappings, holes and a file lock.

Linux is what is tested. Where it has no memfd (macOS) a memory file is an unlinked temporary file,
pages are reserved by writing zeros, and holes are not punched: such a store only keeps more memory
warm than it must. All such differences stay in this file.

Mappings come from libc, since Python's `mmap` keeps a duplicate of the descriptor for each. They
hold without the GIL: a `Region` is unmapped by the end of its last reference, wherever that is.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import sys
import threading
from typing import Final, final

PAGE: Final = mmap.PAGESIZE
"""The unit of reserving and giving back, in bytes."""

HUGE_PAGE: Final = 2 << 20
"""Bytes to which the size of an arena is rounded."""

_PUNCH_HOLE: Final = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_MFD_NOEXEC_SEAL: Final = 0x08
_MADV_POPULATE_WRITE: Final = 23
_SHORTAGES: Final = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EFBIG})
_RESERVE_STEP: Final = 64 << 20
_MAP_FAILED: Final = ctypes.c_void_p(-1).value

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class OutOfPages(Exception):
    """The system has no memory left for the pages that were asked for."""


def round_up(nbytes: int, unit: int) -> int:
    """Returns `nbytes` rounded up to a multiple of `unit`, a power of two."""
    return (nbytes + unit - 1) & -unit


def memory_file(name: str, size: int) -> int:
    """Makes an anonymous file of shared memory, sealed against resizing, with no page in it.

    Args:
        name: What /proc shows for it.
        size: Its virtual size in bytes.

    Returns:
        A read-write descriptor, not inheritable by an exec.

    Raises:
        OSError: No descriptor is left.
    """
    if not hasattr(os, "memfd_create"):
        return _temporary_file(size)
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        fd = os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:  # kernels before 6.3 know no such flag
            raise
        fd = os.memfd_create(name, flags)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _temporary_file(size: int) -> int:
    import tempfile

    fd, path = tempfile.mkstemp(prefix="snakepit-")
    try:
        os.unlink(path)
        os.ftruncate(fd, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


def reopen(fd: int, flags: int) -> int:
    """Opens the file behind a descriptor again: a description of its own, with its own access.

    Args:
        fd: An open descriptor of this process.
        flags: `os.O_RDONLY` or `os.O_RDWR`.

    Returns:
        A new descriptor, not inheritable by an exec.

    Raises:
        OSError: No descriptor is left, or /proc is not mounted.
    """
    if sys.platform != "linux":
        return os.dup(fd)
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)


def reopen_read_only(fd: int) -> int:
    """Returns a new descriptor of the same file through which nobody can write.

    Args:
        fd: The owner's descriptor of a segment.

    Returns:
        A descriptor to send to a reader, who owns it then.

    Raises:
        OSError: No descriptor is left, or /proc is not mounted.
    """
    return reopen(fd, os.O_RDONLY)


def reserve_pages(fd: int, offset: int, length: int) -> None:
    """Backs a range with zeroed pages, so that writing there can never raise SIGBUS.

    Args:
        fd: A read-write descriptor of the file.
        offset: Start in bytes, a multiple of `PAGE`.
        length: Bytes, a multiple of `PAGE`.

    Raises:
        OutOfPages: The system is short of memory; part of the range may have been backed.
    """
    # In steps, since the kernel undoes a whole call that a signal interrupts.
    try:
        for start in range(offset, offset + length, _RESERVE_STEP):
            step = min(_RESERVE_STEP, offset + length - start)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(fd, start, step)
            else:
                os.pwrite(fd, bytes(step), start)
    except OSError as error:
        if error.errno not in _SHORTAGES:
            raise
        raise OutOfPages from error


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Gives the pages of a range back to the system.

    Args:
        fd: A read-write descriptor of the file.
        offset: Start in bytes, a multiple of `PAGE`.
        length: Bytes, a multiple of `PAGE`.

    Returns:
        False where the platform cannot do it: the pages are kept then.

    Raises:
        OSError: The descriptor is not one of a memory file.
    """
    if sys.platform != "linux":
        return False
    span = ctypes.c_long(offset), ctypes.c_long(length)
    while _libc.fallocate(fd, _PUNCH_HOLE, *span) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return True


@final
class Region:
    """A shared mapping of a whole file; its last reference unmaps it.

    Args:
        fd: A descriptor of the file, not needed after this.
        size: Bytes to map from the start of the file.
        writable: Whether this process may write through the mapping.

    Raises:
        ValueError: The file is smaller than `size`; touching its end would raise SIGBUS.
        OSError: The address space or its limit is exhausted.
    """

    __slots__ = ("address", "size")

    def __init__(self, fd: int, size: int, *, writable: bool) -> None:
        self.address = 0
        self.size = size
        if not 0 < size <= os.fstat(fd).st_size:
            raise ValueError(f"cannot map {size} bytes of a file of {os.fstat(fd).st_size}")
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        address = _libc.mmap(None, size, access, mmap.MAP_SHARED, fd, 0)
        if address == _MAP_FAILED:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot map {size} bytes: {os.strerror(code)}")
        self.address = address
        if hasattr(mmap, "MADV_DONTDUMP"):
            # A crashing worker must not write the whole store into its core file.
            _libc.madvise(address, size, mmap.MADV_DONTDUMP)

    def populate(self, offset: int, length: int) -> None:
        """Enters reserved pages into the page table, for less than a fault for each costs.

        Args:
            offset: Start in bytes, a multiple of `PAGE`.
            length: Bytes.
        """
        # Only advice: kernels before 5.14 refuse it, and a signal may cut it short.
        if sys.platform == "linux":
            _libc.madvise(self.address + offset, length, _MADV_POPULATE_WRITE)

    # Bound early: at the interpreter's end a module's names may be gone before its objects.
    def unmap(self, _munmap: ctypes._NamedFuncPointer = _libc.munmap) -> None:
        """Unmaps ahead of the last reference, for an owner that knows of no other user."""
        address, self.address = self.address, 0
        if address:
            _munmap(address, self.size)

    __del__ = unmap


@final
class FileLock:
    """A lock between processes that the kernel frees when its holder dies, however it dies.

    It is an open-file-description lock, which belongs to the description and not to the process.
    So a forked process opens the file again before its first use, keeping the number; and within
    a process a mutex keeps threads apart. It assumes that no other thread is inside the lock when
    a process that will use it is forked (the zygote has one thread).

    Args:
        fd: A read-write descriptor, which stays its maker's to close.
        shared: Whether another process holds the same description already.
    """

    __slots__ = ("_fd", "_mutex", "_pid")

    def __init__(self, fd: int, *, shared: bool) -> None:
        self._fd = fd
        self._mutex = threading.Lock()
        self._pid = 0 if shared else os.getpid()

    def __enter__(self) -> None:
        self._mutex.acquire()
        try:
            if self._pid != os.getpid():
                self._own()
            self._set(fcntl.F_WRLCK)
        except BaseException:
            self._mutex.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._set(fcntl.F_UNLCK)
        finally:
            self._mutex.release()

    def _own(self) -> None:
        fresh = reopen(self._fd, os.O_RDWR)
        try:
            os.dup2(fresh, self._fd, inheritable=False)
        finally:
            os.close(fresh)
        self._pid = os.getpid()

    def _set(self, kind: int) -> None:
        if hasattr(fcntl, "F_OFD_SETLKW"):
            # struct flock: type, whence, start, length (0: to the end), pid (0 for this kind).
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLKW, struct.pack("hhqqi0q", kind, 0, 0, 0, 0))
        else:
            fcntl.lockf(self._fd, fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX)
