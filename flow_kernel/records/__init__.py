"""What happened: capture, diff, summaries, redaction, and the journal that keeps it.

Knows no IPython, no store and no worker; `session` puts the pieces together.
"""
