"""Writes something when it is imported. Loaded by a test."""

print("hello from a library")
