"""What becomes of printed text, also where a cell has broken `sys.stdout`."""
