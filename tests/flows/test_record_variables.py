"""What a record says about the names of a cell: added, changed, removed, mutated, read, stored."""

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.kernels import Kernel
from tests.logs import Record
from tests.promises import promise

_NP: Final = "import numpy as np, pandas as pd"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A cell in a session, and the names that its record lists."""

    before: tuple[str, ...] = ()
    cell: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    mutated: list[str] = field(default_factory=list)
    loads: list[str] | None = None
    stores: list[str] | None = None


CASES: Final[dict[str, Case]] = {
    "assignments": Case(cell="b = 'x'; a = 1", added=["a", "b"], stores=["a", "b"], loads=[]),
    "a_new_value": Case(before=("a = 1",), cell="a = 2", changed=["a"], stores=["a"], loads=[]),
    "a_value_from_another": Case(
        before=("a = 1",), cell="b = a", added=["b"], loads=["a"], stores=["b"]
    ),
    "an_equal_object_may_be_over_reported": Case(
        before=("a = 1",), cell="a = a", changed=["a"], loads=["a"]
    ),
    "deletion": Case(before=("a = b = 1",), cell="del a", removed=["a"]),
    "deletion_and_return": Case(before=("a = [1]",), cell="del a; a = [1]", changed=["a"]),
    "a_name_that_lives_within_the_cell": Case(cell="t = 1; del t"),
    "reading_only": Case(before=("a = [1]",), cell="print(a)", loads=["a"], stores=[]),
    "nothing": Case(before=("a = 1",), cell="1 + 1", loads=[], stores=[]),
    "a_grown_list": Case(before=("a = [1]",), cell="a.append(2)", mutated=["a"], loads=["a"]),
    "a_list_of_equal_length": Case(before=("a = [1, 2]",), cell="a[0] = 'other'", mutated=["a"]),
    "a_dict": Case(before=("d = {}",), cell="d['k'] = 1", mutated=["d"]),
    "a_set": Case(before=("s = {1}",), cell="s.add(2)", mutated=["s"]),
    "a_bytearray": Case(before=("b = bytearray(4)",), cell="b[0] = 7", mutated=["b"]),
    "an_array": Case(before=(_NP, "v = np.zeros(9)"), cell="v[3] = 1", mutated=["v"]),
    "an_array_in_place_operator": Case(
        before=(_NP, "v = np.zeros(9)"), cell="v += 1", changed=["v"]
    ),
    "a_frame_with_a_new_column": Case(
        before=(_NP, "df = pd.DataFrame({'a': [1]})"), cell="df['b'] = 2", mutated=["df"]
    ),
    "a_mutation_in_a_function": Case(
        before=("a = [1]\ndef grow():\n    a.append(1)",), cell="grow()", mutated=["a"]
    ),
    "an_unread_neighbour": Case(
        before=("a = [1]; c = [2]",), cell="a.append(c and 1)", mutated=["a"]
    ),
    "a_loop_onto_the_same_address": Case(
        before=("q = 0.5",), cell="for _n in range(2): q = q + 1.0", changed=["q"], added=["_n"]
    ),
    "a_loop_of_lists": Case(
        before=("q = [0]",), cell="for _n in range(2): q = q + [1]", changed=["q"], added=["_n"]
    ),
    "a_loop_of_objects": Case(
        before=("class V: pass\nq = V()",),
        cell="for _n in range(2): q = V()",
        changed=["q"],
        added=["_n"],
    ),
    "a_loop_of_arrays": Case(
        before=(_NP, "q = np.zeros(3)"),
        cell="for _n in range(2): q = q + 1",
        changed=["q"],
        added=["_n"],
    ),
    "a_global_set_by_a_function": Case(
        before=("def f():\n    global g\n    g = [1]",), cell="f()", added=["g"]
    ),
    "a_global_of_nested_code": Case(
        cell="def f():\n    global h\n    h = 1\nf()", added=["f", "h"], stores=["f", "h"]
    ),
    "an_import": Case(cell="import math", added=["math"], stores=["math"]),
    "imports_under_other_names": Case(
        cell="import math as m\nfrom os import path as p, sep", added=["m", "p", "sep"]
    ),
    "exec": Case(cell="exec('e1 = 5')", added=["e1"]),
    "globals_assignment": Case(cell="globals()['g1'] = 5", added=["g1"]),
    "a_name_that_is_no_identifier": Case(cell="globals()['a b'] = 1", added=["a b"]),
    "private_names_count": Case(cell="_private = 1", added=["_private"]),
    "names_of_tools_do_not": Case(cell="_VSCODE_x = 1; __vsc_y = 2; _i5 = 3; _ = 4"),
    "a_result_is_no_variable": Case(cell="5 + 5"),
    "targets_of_statements": Case(
        cell="for i, j in [(1, 2)]: pass\nwith open('/dev/null') as fh: pass\nif (w := 3): pass",
        added=["fh", "i", "j", "w"],
    ),
    "a_match_statement": Case(
        cell="match [1, 2]:\n    case [p1, *rest]: pass", added=["p1", "rest"]
    ),
    "a_caught_exception_leaves_no_name": Case(
        cell="try:\n    1/0\nexcept ZeroDivisionError as err:\n    pass"
    ),
    "classes_and_functions": Case(
        cell="class K: attr = 1\ndef fn(): inner = 2\nla = lambda z: z", added=["K", "fn", "la"]
    ),
    "comprehension_names_stay_inside": Case(cell="c1 = [k for k in range(3)]", added=["c1"]),
    "an_error_after_an_assignment": Case(
        cell="before_error = 1; 1/0; after_error = 2", added=["before_error"]
    ),
    "a_syntax_error": Case(before=("a = 1",), cell="a = = 2"),
    "an_async_cell": Case(
        cell="import asyncio\nr1 = await asyncio.sleep(0, 5)", added=["asyncio", "r1"]
    ),
    "a_shell_assignment": Case(cell="listed = !echo one", added=["listed"]),
    "a_magic_assignment": Case(cell="where = %pwd", added=["where"]),
    "unicode_names": Case(cell="größe = 1; 変数 = 2", added=["größe", "変数"]),
    "swapped_values": Case(before=("a = [1]; b = [2]",), cell="a, b = b, a", changed=["a", "b"]),
    "a_rebound_and_grown_list": Case(
        before=("a = [1]",), cell="a = a + [2]; a.append(3)", changed=["a"]
    ),
}


def _names(record: Record) -> dict[str, list[str]]:
    return {kind: record[f"{kind}_vars"] for kind in ("added", "changed", "removed", "mutated")}


def _fresh(flow: Kernel) -> None:
    flow.run("%reset -f", silent=True)


@promise("record.variables")
@pytest.mark.parametrize("name", CASES)
def test_a_record_names_what_a_cell_did_to_the_session(flow: Kernel, name: str) -> None:
    case = CASES[name]
    _fresh(flow)
    for cell in case.before:
        flow.run(cell)

    ran = flow.run(case.cell)

    record = flow.logs.one("cell", msg_id=ran.msg_id)
    assert _names(record) == {
        "added": case.added,
        "changed": case.changed,
        "removed": case.removed,
        "mutated": case.mutated,
    }
    assert case.loads in (None, record["loads"])
    assert case.stores in (None, record["stores"])


@promise("record.variables")
def test_a_star_import_lists_every_name(flow: Kernel) -> None:
    import stat

    _fresh(flow)

    ran = flow.run("from stat import *")

    record = flow.logs.one("cell", seq=ran.seq)
    assert record["added_vars"] == sorted(n for n in vars(stat) if not n.startswith("_"))


@promise("record.variables")
def test_a_run_script_adds_its_names(flow: Kernel) -> None:
    _fresh(flow)
    (flow.cwd / "script.py").write_text("from_script = 1\n", encoding="utf-8")

    ran = flow.run("%run script.py")

    added = flow.logs.one("cell", seq=ran.seq)["added_vars"]
    assert [name for name in added if not name.startswith("__")] == ["from_script"]


@promise("record.variables")
def test_variables_are_summarised_by_type_shape_and_length(flow: Kernel) -> None:
    _fresh(flow)

    flow.run("import numpy as np, pandas as pd\nclass Own: pass")

    known: dict[str, Any] = {}
    for cell in (
        "n = 42; text = 'words'; items = [1, 2, 3]; table = {'k': 1}",
        "array = np.zeros((2, 3))",
        "df = pd.DataFrame({'a': [1, 2], 'b': [3.0, 4.0]})",
        "own = Own()",
    ):
        known |= flow.logs.one("cell", seq=flow.run(cell).seq)["vars"]

    facts = {
        n: {k: v for k, v in s.items() if k in ("type", "shape", "dtype", "len")}
        for n, s in known.items()
    }
    assert facts["n"] == {"type": "int"}
    assert facts["text"] == {"type": "str", "len": 5}
    assert facts["items"] == {"type": "list", "len": 3}
    assert facts["table"] == {"type": "dict", "len": 1}
    assert (facts["array"]["shape"], facts["array"]["dtype"]) == ([2, 3], "float64")
    assert facts["df"]["shape"] == [2, 2]
    assert facts["own"]["type"].endswith("Own")
    assert all(type(s["summary"]) is str for s in known.values())


@promise("record.variables", "record.bounded")
def test_a_hundred_thousand_variables_are_listed_and_some_summarised() -> None:
    with Kernel() as kernel:
        many = kernel.run("globals().update({f'v{i}': i for i in range(100_000)})")
        one = kernel.run("v7 = -1")

        first = kernel.logs.one("cell", seq=many.seq)
        assert first["added_vars"] == sorted(f"v{i}" for i in range(100_000))
        assert 0 < len(first["vars"]) <= 200
        assert kernel.logs.one("cell", seq=one.seq)["changed_vars"] == ["v7"]


@promise("record.imports")
def test_new_modules_and_the_versions_of_their_packages_are_listed(flow: Kernel) -> None:
    import pexpect

    flow.run(
        "import sys\n"
        "for m in [m for m in sys.modules if m.startswith(('pexpect', 'wave'))]: del sys.modules[m]"
    )

    ran = flow.run("import wave, pexpect")
    again = flow.run("import wave, pexpect")

    record = flow.logs.one("cell", seq=ran.seq)
    assert {"wave", "pexpect", "pexpect.expect"} <= set(record["added_imports"])
    assert record["added_imports"] == sorted(record["added_imports"])
    assert record["imports"]["pexpect"] == pexpect.__version__
    assert record["imports"]["wave"] is None
    assert flow.logs.one("cell", seq=again.seq)["added_imports"] == []


@promise("record.imports")
def test_a_failed_import_leaves_the_modules_that_came_in(flow: Kernel) -> None:
    (flow.cwd / "half.py").write_text("import wave\nimport not_there_at_all\n", encoding="utf-8")
    flow.run("import sys; sys.path.insert(0, ''); sys.modules.pop('wave', None)")

    ran = flow.run("import half")

    record = flow.logs.one("cell", seq=ran.seq)
    assert "wave" in record["added_imports"]
    assert "half" not in record["added_imports"]
    assert record["error"]["ename"] == "ModuleNotFoundError"
