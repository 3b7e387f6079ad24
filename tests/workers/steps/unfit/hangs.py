"""Does not come to an end when it is imported. Loaded by a test."""

import time

time.sleep(60)
