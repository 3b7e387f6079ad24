"""The near end of the oracle of `test_checkpoint_reach_oracle`.

The far end is `oracle_process.py`. A look at every object of the process is part of each verdict,
and a process that runs tests has so many that a verdict takes twice as long there. Questions and
answers are pickles, one after the other.
"""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.session.mutators import Mutator


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a mutator did.

    Attributes:
        missed: Names that changed, and that nobody would save again.
        is_change: False when nothing differs afterwards.
        doubts: What the next verdicts would be judged by, after its cleaning up.
    """

    missed: frozenset[str]
    is_change: bool
    doubts: tuple[str, ...]


class Oracle:
    """The near end of the process.

    Args:
        process: Reads questions and writes answers.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def ask(self, mutator: Mutator) -> Verdict:
        """The verdict on a mutator.

        Raises:
            Exception: What its process had to say instead.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        pickle.dump(mutator, stdin)
        stdin.flush()
        answer = pickle.load(stdout)
        if isinstance(answer, Exception):
            raise answer
        return cast("Verdict", answer)


@contextmanager
def oracle() -> Iterator[Oracle]:
    """Start the process; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.session.oracle_process"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Oracle(process)
        process.kill()
