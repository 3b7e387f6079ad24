"""Programs around the kernel: the command line and what it prints."""
