"""What runs inside a worker, and the wire on which it calls its session."""
