"""Cells that run in a worker."""
