"""What another Python or other libraries mean for a checkpoint."""

import io
from typing import Any

import pytest

from flow_kernel.session.checkpoints.anchors import anchors_of
from flow_kernel.session.checkpoints.compatibility import (
    code_reason,
    holds_code,
    warnings_of,
)
from flow_kernel.session.checkpoints.pickler import Pickler
from flow_kernel.session.checkpoints.versions import installed
from tests.session.made_checkpoints import made
from tests.session.saved_values import run


def stream_of(source: str, name: str) -> bytes:
    namespace: dict[str, Any] = run(source)
    file = io.BytesIO()
    Pickler(file, [], anchors_of(namespace, {})).dump((namespace[name],))
    return file.getvalue()


@pytest.mark.parametrize(
    ("source", "is_code"),
    [
        ("def x(): return 1", True),
        ("class x:\n    def f(self): return 1", True),
        ("def make():\n    n = 1\n    return lambda: n\nx = [make()]", True),
        ("class x: n = 1", False),
        ("x = {'function': 'code'}", False),
        ("import json as x", False),
        ("import numpy as np; x = {'function': np.arange(3), 'CodeType': 1}", False),
        ("import json; x = json.dumps", False),
    ],
)
def test_a_pickle_with_compiled_code_is_known_without_loading_it(
    source: str, is_code: bool
) -> None:
    stream = stream_of(source, "x")

    assert holds_code(stream) is is_code
    reason = code_reason(stream, taken="3.12.1", here="3.11.7")
    assert (reason is not None) is is_code
    assert code_reason(stream, taken="3.11.2", here="3.11.7") is None
    if reason:
        assert reason == "holds a function compiled by Python 3.12, this is Python 3.11"


def test_other_versions_are_warnings_that_name_each_of_them() -> None:
    one = made("a", python="3.12.4", libraries={"numpy": "1.0", "gone": "2.0", "same": "3.0"})
    here = {"numpy": "2.1", "gone": None, "same": "3.0"}

    assert warnings_of(one, python="3.11.7", version_of=here.get) == [
        "it was taken on Python 3.12, this is Python 3.11: functions and classes of the notebook"
        " cannot be restored",
        "numpy was 1.0, here it is 2.1",
        "gone 2.0 is not installed here",
    ]
    assert warnings_of(made("b"), python="3.11.1", version_of=here.get) == []


def test_versions_are_found_without_an_import_also_where_names_differ() -> None:
    found = installed(["dateutil", "nothing_of_the_kind", "../../etc/passwd", ""])

    assert [found[name] for name in found if name != "dateutil"] == [None, None, None]
    assert found["dateutil"]
