"""Durable state of a home: plans, tasks, steps, context and the outbox, in one SQLite file.

Built by `session.assembly` and by the command line; knows nothing of kernels or workers.
"""
