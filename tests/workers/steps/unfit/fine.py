"""Does nothing when it is imported. Loaded by a test."""
