"""Messages that do not fit into a packet, as memory whose descriptor is sent.

Used by both ways of speaking to what forks: `wire` and `steps.words`. It imports nothing that a
process which only forks would have to load.
"""

import os


def stored(data: bytes) -> int:
    """A descriptor of memory that holds `data`; the caller closes it."""
    memory = os.memfd_create("flow-order", os.MFD_CLOEXEC)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(data)
    except BaseException:
        os.close(memory)
        raise
    return memory


def taken(memory: int) -> bytes:
    """What such memory holds; its descriptor is closed."""
    with open(memory, "rb") as file:
        file.seek(0)
        return file.read()
