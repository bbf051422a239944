"""How bytes, descriptors and shared pages get from one process to another."""
