"""The far end of `oracle.py`: runs a mutator between two saves, and tells what was missed."""

import os
import pickle
import warnings
from typing import IO

from tests.session.following import UNSAVED, Saving, Session, set_up
from tests.session.mutators import Mutator
from tests.session.oracle import Verdict


def _judge(session: Session, mutator: Mutator) -> Verdict:
    """Run a mutator between two saves."""
    before = set_up(session, mutator.setup, looks_for_code=bool(mutator.undo))
    for cell in mutator.cells:
        session.run(cell)
    after = session.save()
    doubts: tuple[str, ...] = ()
    if mutator.undo:
        assert session.run_quietly(mutator.undo)
        doubts = tuple(session.world().doubts)
    return Verdict(
        missed=frozenset(session.missed(before, after)),
        is_change=_differs(before, after) or UNSAVED in after.contents.values(),
        doubts=doubts,
    )


def _differs(before: Saving, after: Saving) -> bool:
    return before.contents != after.contents or before.ids != after.ids


def _answer(questions: IO[bytes], answers: IO[bytes]) -> None:
    # pandas warns of `inplace`, which would fail the cell before it changes anything.
    warnings.simplefilter("ignore")
    session = Session()
    session.run_quietly("import numpy, pandas, matplotlib.pyplot")
    while True:
        mutator = pickle.load(questions)
        answer: Verdict | Exception
        try:
            answer = _judge(session, mutator)
        except Exception as error:  # noqa: BLE001 - raised at the near end
            answer = AssertionError(f"{type(error).__name__}: {error}")
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    _mine = os.dup(1)
    os.dup2(2, 1)  # what cells print is no answer
    with os.fdopen(os.dup(0), "rb") as _questions, os.fdopen(_mine, "wb") as _answers:
        _answer(_questions, _answers)
