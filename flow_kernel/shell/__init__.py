"""What IPython sees: the kernel, the extension, the taps that both share, and the magics."""
