"""Other processes that run cells; knows nothing of the store."""
