"""What cells and kernels do otherwise than in IPython and ipykernel, and the list of it all."""
