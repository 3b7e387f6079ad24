"""The WebSocket sandbox: commands and cells for programs, as jobs of the server's worker pool."""
