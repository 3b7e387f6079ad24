"""Requests and answers over lines of JSON, for processes that a benchmark asks.

Called by `checkpoint_tool` and `peers/pool_tool.py`. Only the standard library is imported here:
what calls it has an environment of its own.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def serve(begin: Callable[[], Answer]) -> None:
    """Answer requests until stdin ends; what others print goes nowhere.

    Args:
        begin: Makes what answers, once nothing can be printed any more.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    answer = begin()
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the one who asked decides what to do
            found = {"error": f"{type(error).__name__}: {error}"[:2000]}
        answers.write(json.dumps(found) + "\n")
        answers.flush()
