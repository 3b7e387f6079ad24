"""Files as chunks of ours: those that git does not hold, and all where there is no git."""
