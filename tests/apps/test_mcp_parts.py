"""The parts of the MCP server that decide and shape: arguments, lines of magics, small answers."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.apps.mcp import magics
from flow_kernel.apps.mcp.arguments import checked
from flow_kernel.apps.mcp.cell_run import CellRun
from flow_kernel.apps.mcp.elicited import LIMIT as SHOWN_CHARS
from flow_kernel.apps.mcp.elicited import question_of
from flow_kernel.apps.mcp.shaping import (
    LIMIT,
    ends_of,
    frames_of,
    run_answer,
    running_answer,
    squeezed,
    text_of,
)
from flow_kernel.apps.mcp.spool import MOST_CHARS, Budget, Spool
from flow_kernel.apps.mcp.tools import TOOLS, schema_of
from flow_kernel.errors import UsageError
from flow_kernel.shell.channels.request_marks import ACTOR_CHARS, actor_of, staleness_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_whatever_a_client_sends_is_taken_or_refused_in_a_sentence(
    given_: dict[str, object],
) -> None:
    for tool in TOOLS.values():
        try:
            assert set(checked(tool, given_)) <= set(tool.arguments)
        except UsageError:
            continue


def test_each_schema_refuses_what_it_does_not_name() -> None:
    for tool in TOOLS.values():
        schema = schema_of(tool)
        assert schema["additionalProperties"] is False
        assert set(schema.get("required", ())) <= set(schema["properties"])


@given(st.dictionaries(st.sampled_from(["out", "err", "diff", "items"]), JSON))
def test_no_answer_is_longer_than_its_limit_and_each_is_json(answer: dict[str, object]) -> None:
    long = {**answer, "out": 'line ☃ \\ "\n' * 2000, "list": ["x" * 300] * 200}

    text = text_of(long)

    assert len(text) <= LIMIT
    assert orjson.loads(text)["out"].startswith("line ☃")


def test_a_text_that_is_cut_says_how_much_is_missing() -> None:
    text = squeezed("a" * 600 + "b" * 400, 200)

    assert len(text) <= 200
    assert text.startswith("a" * 60)
    assert text.endswith("b" * 30)
    assert "…[800 characters left out]…" in text


def test_the_ends_of_a_long_output_are_its_own() -> None:
    spool = Spool()
    for number in range(20_000):
        spool.add(f"{number}\n")

    shown = ends_of(spool, 100)

    assert shown.startswith("0\n1\n2\n")
    assert shown.endswith("\n19998\n19999\n")
    assert f"…[{spool.chars - 100} characters left out]…" in shown


def test_a_spool_gives_any_page_of_what_it_kept_and_says_when_it_kept_less() -> None:
    spool = Spool()
    text = "".join(f"{n}☃\n" for n in range(100_000))
    for start in range(0, len(text), 1000):
        spool.add(text[start : start + 1000])
    assert (spool.page(0, len(text)), spool.is_cut) == (text, False)
    spool.add("more\ud800")
    assert spool.page(len(text) - 2, 20) == f"{text[-2:]}more\ud800"

    spool.add("x" * MOST_CHARS)

    assert (spool.is_cut, spool.tail[-1], len(spool.page(0, 2 * MOST_CHARS))) == (
        True,
        "x",
        MOST_CHARS,
    )
    spool.close()


def test_where_the_budget_of_spools_is_spent_the_oldest_let_go_and_say_so() -> None:
    budget = Budget(most_bytes=1_000_000)
    old, new = Spool(budget), Spool(budget)
    old.add("o" * 600_000)
    new.add("n" * 600_000)
    old.add("end")

    assert (old.is_let_go, old.chars, old.tail[-4:], old.page(0, 9)) == (True, 600_003, "oend", "")
    assert (new.is_let_go, new.page(599_990, 99)) == (False, "n" * 10)
    new.close()


def test_what_a_running_cell_says_is_clean_and_pages_skip_nothing() -> None:
    run = CellRun("r" * 16, "run_cell")
    text = "".join(f'\x1b[31m"☃\\{n}"\x1b[0m\n' for n in range(300))
    run.hear({"msg_type": "stream", "content": {"name": "stdout", "text": text}})
    told, since = "", 0
    while since < len(text):
        answer = running_answer(run, since)
        assert len(text_of(answer)) <= LIMIT
        assert "left out" not in text_of(answer)
        told, since = told + answer["out"], answer["next"]

    last = running_answer(run, None)
    assert told.count("☃") == 300
    assert "\x1b" not in told + last["out"]
    assert last["out"] == told[-600:]


def test_of_a_traceback_the_users_own_last_frames_are_told() -> None:
    trace = (
        "-----\nValueError   Traceback (most recent call last)\n"
        "Cell In[3], line 2\n      1 import json\n----> 2 go(1)\n"
        "Cell In[2], line 5, in go(n)\n----> 5     return json.loads(n)\n"
        "File /usr/lib/python3.11/json/__init__.py:339, in loads(s)\n--> 339     raise TypeError\n"
        "ValueError: x"
    )

    assert frames_of(trace) == (
        ["Cell In[3], line 2: go(1)", "Cell In[2], line 5, in go(n): return json.loads(n)"],
        5,
    )


def test_a_run_that_was_aborted_or_lost_says_so() -> None:
    aborted, lost = CellRun("a", "run_cell"), CellRun("b", "run_cell")
    aborted.hear({"msg_type": "status", "content": {"execution_state": "idle"}})
    aborted.hear({"msg_type": "execute_reply", "content": {"status": "aborted"}, "metadata": {}})
    lost.lose("the kernel died: killed")

    assert run_answer(aborted, None)["err"]["type"] == "Aborted"
    assert run_answer(lost, None)["err"] == {"type": "KernelDied", "msg": "the kernel died: killed"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("start 'My task'", "%task start 'My task'"),
        ("log 'a  b'", "%task log 'a  b'"),
        ("step  a\n b", "get_ipython().find_line_magic('task')('step  a\\n b')"),
        ("log a\x0bb", "get_ipython().find_line_magic('task')('log a\\x0bb')"),
        ("log {x}", "get_ipython().find_line_magic('task')('log {x}')"),
        ("log $x?", "get_ipython().find_line_magic('task')('log $x?')"),
        (f"log {'x' * 1000}", f"get_ipython().find_line_magic('task')('log {'x' * 1000}')"),
    ],
)
def test_a_line_that_ipython_would_change_is_handed_to_the_magic_as_it_is(
    line: str, code: str
) -> None:
    assert magics.magic("task", line) == code


@given(st.text(), st.text(), st.lists(st.text()))
def test_no_name_of_a_task_becomes_code(name: str, about: str, steps: list[str]) -> None:
    try:
        code = magics.task_start(name, about, steps)
    except UsageError:
        return

    assert code.startswith(
        ("%task start ", "get_ipython().find_line_magic('task')('start ")
    ) or code.startswith("get_ipython().find_line_magic('task')(\"start ")
    assert len(code.splitlines()) == 1


@pytest.mark.parametrize(
    ("metadata", "actor"),
    [
        ({"flow": {"actor": "mcp:a"}}, "mcp:a"),
        ({"flow": {"actor": "a\x1b[31mb\u202ec\nd"}}, "abc"),
        ({"flow": {"actor": "x" * 500}}, "x" * (ACTOR_CHARS - 1) + "…"),
        ({"flow": {"actor": 5}}, ""),
        ({"flow": []}, ""),
        (None, ""),
    ],
)
def test_the_actor_of_a_request_is_plain_and_short(metadata: object, actor: str) -> None:
    assert actor_of(metadata) == actor


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        (None, ""),
        (10, ""),
        (12, ""),
        (9, "other cells ran since rev 9: the session is at rev 12"),
        (13, "expect_rev 13 is of another session: this one is at rev 12"),
        (True, "expect_rev is a whole number, not True"),
        ("10", "expect_rev is a whole number, not '10'"),
        (-1, "expect_rev is a whole number, not -1"),
    ],
)
def test_a_request_is_stale_where_a_cell_ended_since_the_rev_that_it_knows(
    expected: object, why: str
) -> None:
    metadata = {"flow": {"expect_rev": expected}}

    assert staleness_of(metadata, cells_seq=10, last_seq=12) == why


def test_a_person_is_shown_all_of_the_code_or_is_not_asked() -> None:
    row = {"approval_id": "A-0001", "message": "m" * 5000, "payload": None, "code": "x" * 3000}

    shown = question_of(row)

    assert shown is not None
    assert len(shown) <= SHOWN_CHARS
    message, _, code = shown.partition("\n\ncode:\n")
    assert code == row["code"]
    kept = message.partition("\n…")[0]
    left = 5000 - len(kept)
    assert message == f"{kept}\n… {left} more characters, see `jupyter flow approvals A-0001`"
    assert question_of(row | {"code": "x" * 3700}) is None
    assert question_of(row | {"payload": "y" * 900}) is None


def test_what_a_person_is_shown_has_no_controls_and_no_false_code() -> None:
    row = {"approval_id": "A-0001", "message": "Go?\x1b[2J\n\ncode:\nfine()", "payload": None,
           "code": "# fine\rdrop()\u202e"}  # fmt: skip

    assert question_of(row) == "Go?\n│ \n│ code:\n│ fine()\n\ncode:\n# fine\ndrop()"
