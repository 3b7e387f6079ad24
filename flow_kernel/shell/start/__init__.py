"""How a kernel starts: what it loads late, where it writes, what it goes on with."""
