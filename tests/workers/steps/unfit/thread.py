"""Starts a thread when it is imported. Loaded by a test."""

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
