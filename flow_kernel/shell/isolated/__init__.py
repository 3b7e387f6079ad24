"""The session's side of cells that run elsewhere: marks, routes, workers, what they say."""
