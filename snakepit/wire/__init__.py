"""The wire: bytes to messages and back. Pure."""
