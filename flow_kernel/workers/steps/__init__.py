"""Processes that run steps of workflows: scripts and commands, each in a child of its own."""
