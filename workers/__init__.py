"""The other side of the mailbox: the zygote, and the processes that run calls."""
