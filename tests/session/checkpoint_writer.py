"""Forks writers of checkpoints and kills them at random moments; a process of its own.

Started by `test_checkpoint_kills`: `python -m tests.session.checkpoint_writer HOME SEED`. For each
line on stdin it runs one writer and answers with the checkpoints that the writer told of, as JSON.
A process without threads, because it forks.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Final

from tests.session.shelves import shelf_at, taken

_LONGEST_S: Final = 0.01
_READ_BYTES: Final = 1 << 16


def value_of(turn: int, number: int) -> bytes:
    """What the variable of a checkpoint holds."""
    return random.Random(f"{turn} {number}").randbytes(20_000 + number)


def write(root: Path, turn: int, mouth: int) -> None:
    """Take checkpoints until somebody kills this process."""
    shelf = shelf_at(root)
    number = 0
    while True:
        values = {"x": value_of(turn, number), "same": b"same" * 50}
        made = taken(shelf, values, seq=number, name=f"{turn}", owner=f"w{turn % 3}")
        os.write(mouth, f"{made.checkpoint_id} {number}\n".encode())
        number += 1


def run(root: Path, turn: int, told: int, delay_s: float) -> list[str]:
    """One writer from its birth to its death. Returns what it said.

    Args:
        root: The home.
        turn: Its number.
        told: It lives until it has told of so many checkpoints,
        delay_s: and so long after that.
    """
    reader, mouth = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            write(root, turn, mouth)
        finally:
            os._exit(1)
    os.close(mouth)
    said = b""
    while said.count(b"\n") < told:
        said += os.read(reader, _READ_BYTES)
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(reader, _READ_BYTES):
        said += more
    os.close(reader)
    return said.decode().splitlines()


def main(root: Path, seed: str) -> None:
    """Answer orders until there are no more."""
    dice = random.Random(seed)
    for turn, _ in enumerate(sys.stdin):
        print(
            json.dumps(run(root, turn, dice.randrange(4), dice.uniform(0, _LONGEST_S))), flush=True
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
