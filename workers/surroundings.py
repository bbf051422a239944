"""What a worker's environment says beyond its variables; see `snakepit.runtime_env`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, final

from snakepit.checks import INTERPRETER
from snakepit.errors import RuntimeEnvSetupError, SerializationError
from snakepit.runtime_env import DIRECTORY, HOOK, MODULES, modules_of


@final
class Surroundings:
    """The working directory, the import path, and what is to run before the first call."""

    __slots__ = ("_base", "_directory", "_failure", "_hook", "_modules")

    def __init__(self, variables: MutableMapping[str, str]) -> None:
        """Take ours out of `variables`: they are long, and no business of child processes."""
        self._directory = variables.pop(DIRECTORY, "")
        modules = variables.pop(MODULES, "")
        self._modules: list[str] = modules_of(modules) if modules else []
        self._hook = variables.pop(HOOK, "")
        # Another interpreter than the driver's has packages of its own.
        self._base = list(sys.path) if variables.pop(INTERPRETER, "") else []
        self._failure = ""

    @property
    def set_up_first(self) -> Callable[[], None] | None:
        """What is to be called before each call until it has returned once; None if nothing is."""
        return self._set_up if self._hook else None

    def adopt(self, path: list[str], directory: str) -> None:
        """Import from where the driver does, after what is this process's own, and work there."""
        own = [self._directory] if self._directory else []
        sys.path[:] = [*own, *self._modules, *path, *self._base]
        directory = self._directory or directory
        if directory and directory != os.getcwd():
            try:
                os.chdir(directory)
            except OSError:
                # It is gone, or was never ours to enter; what is imported absolutely still works.
                return

    def _set_up(self) -> None:
        if not self._failure:
            try:
                self._function()()
                return
            except Exception as error:
                self._failure = f"{type(error).__name__}: {error}"
                raise RuntimeEnvSetupError(self._said()) from error
        raise RuntimeEnvSetupError(self._said())

    def _said(self) -> str:
        return f"worker_process_setup_hook failed in process {os.getpid()}: {self._failure}"

    def _function(self) -> Callable[[], Any]:
        kind, _, text = self._hook.partition(":")
        if kind == "pickle":
            from base64 import b64decode
            from pickle import loads

            from snakepit.payload.bytecode import other_bytecode

            tag, _, code = text.partition(":")
            if tag != sys.implementation.cache_tag:
                raise SerializationError(other_bytecode("the function", tag))
            function: Callable[[], Any] = loads(b64decode(code))
            return function
        from importlib import import_module

        module, _, name = text.rpartition(".")
        named: Callable[[], Any] = getattr(import_module(module), name)
        return named
