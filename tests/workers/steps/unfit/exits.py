"""Ends its process when it is imported. Loaded by a test."""

import os

os._exit(3)
