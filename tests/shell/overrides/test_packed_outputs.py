"""Outputs of cells that were packed are those that IPython would have kept."""

import copy
import json
import pickle
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.history import HistoryOutput

from flow_kernel.shell.overrides.packed_outputs import PackedOutputs
from tests.promises import promise


def _lists() -> dict[int, list[Any]]:
    """Of cells that printed, had a result, did both, and showed more than text."""
    return {
        1: [HistoryOutput("out_stream", {"stream": ["one\n"]})],
        2: [HistoryOutput("execute_result", {"text/plain": "2"})],
        4: [
            HistoryOutput("out_stream", {"stream": ["a"]}),
            HistoryOutput("err_stream", {"stream": ["b"]}),
            HistoryOutput("execute_result", {"text/plain": "'c'"}),
        ],
        5: [HistoryOutput("display_data", {"text/plain": "shown"})],
        6: [HistoryOutput("execute_result", {"text/plain": "6", "text/html": "<b>6</b>"})],
        7: [HistoryOutput("out_stream", {"stream": ["in ", "pieces"]})],
        8: [],
        9: [HistoryOutput("err_stream", {"stream": [""]})],
    }


def _packed() -> PackedOutputs:
    made = PackedOutputs()
    for count, outputs in _lists().items():
        made[count].extend(outputs)
        made.pack(count)
    return made


_LOOKS: dict[str, Callable[[Any], Any]] = {
    "one": lambda it: it[1],
    "a later one": lambda it: it[4],
    "get": lambda it: (it.get(2), it.get(3), it.get(3, "none")),
    "in": lambda it: (1 in it, 5 in it, 3 in it),
    "len": len,
    "truth": bool,
    "list": list,
    "reversed": lambda it: list(reversed(it)),
    "keys": lambda it: list(it.keys()),
    "values": lambda it: list(it.values()),
    "items": lambda it: list(it.items()),
    "dict": dict,
    "stars": lambda it: {**dict.fromkeys([0]), **it},
    "copy": lambda it: (it.copy(), type(it.copy())),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda it: pickle.loads(pickle.dumps(it)),
    "repr": repr,
    "json": lambda it: json.dumps(it, default=vars),
    "equal": lambda it: (it == _lists(), it != _lists(), _lists() == it, it == {}),
    "or": lambda it: (it | {3: []}, {3: []} | it),
    "pop": lambda it: (it.pop(1), it.pop(5), it.pop(3, "none"), list(it)),
    "popitem": lambda it: (it.popitem(), list(it)),
    "del": lambda it: (it.__delitem__(2), it.__delitem__(6), list(it)),
    "setdefault": lambda it: (it.setdefault(2, "new"), it.setdefault(3, "new"), len(it)),
    "set": lambda it: (it.__setitem__(2, ["new"]), it[2], len(it)),
    "update": lambda it: (it.update({2: ["new"]}), list(it.items())),
    "ior": lambda it: it.__ior__({2: ["new"]}),
    "clear": lambda it: (it.clear(), list(it), it[1]),
    "append": lambda it: (it[1].append("late"), it[1], list(it.items())),
}


@promise("memory.cell")
@pytest.mark.parametrize("look", _LOOKS)
def test_who_looks_finds_what_ipython_keeps(look: str) -> None:
    stock: Any = defaultdict(list, _lists())

    assert _LOOKS[look](_packed()) == _LOOKS[look](stock)


@promise("memory.cell")
def test_a_cell_that_is_packed_has_no_list_and_is_packed_again() -> None:
    outputs = _packed()

    def in_lists() -> list[int]:
        return [*dict.keys(outputs)]

    assert in_lists() == [5, 6, 7, 8]
    assert outputs[2] == _lists()[2]
    assert in_lists() == [5, 6, 7, 8, 2]
    outputs.pack(2)
    assert in_lists() == [5, 6, 7, 8]


@promise("memory.cell")
def test_a_list_that_somebody_holds_stays_the_list() -> None:
    outputs = PackedOutputs()
    held = outputs[1]
    held.append(HistoryOutput("out_stream", {"stream": ["x"]}))
    outputs.pack(1)
    held.append(HistoryOutput("out_stream", {"stream": ["late"]}))

    assert outputs[1] is held


@promise("memory.cell")
def test_outputs_of_other_classes_stay_as_they_are() -> None:
    class Other(HistoryOutput):
        pass

    given = [Other("out_stream", {"stream": ["x"]})]
    outputs = PackedOutputs()
    outputs[1] = given
    del given
    outputs.pack(1)

    assert type(outputs[1][0]) is Other
