"""The magic of workflows, and the picture of a run."""
