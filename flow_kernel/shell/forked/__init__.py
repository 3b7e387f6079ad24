"""What runs inside a copy of the session, which is a fork of it."""
