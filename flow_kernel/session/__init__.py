"""One notebook session: the recorder, its history, and the assembly of the concrete parts."""
