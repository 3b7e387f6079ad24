"""The pure parts of `jupyter flow repl`: events taken out, patience, endings, the answer."""

import signal
from typing import Any

import pytest

from flow_kernel.apps.repl_cell import RESULT_CHARS, STREAM_CHARS, RunningCell
from flow_kernel.apps.repl_death import ending_of
from flow_kernel.apps.repl_events import EventFilter, Told
from flow_kernel.apps.repl_patience import GRACE_S, Patience
from flow_kernel.apps.repl_protocol import RunCell
from flow_kernel.records.agent_events import encode

KEY, SESSION, NONCE = b"k" * 32, "5" * 32, "a" * 16


def told(seq: int, *, key: bytes = KEY, session: str = SESSION, nonce: str = NONCE) -> str:
    fields = {"task_id": "T-0001"}
    return encode("task_start", fields, key=key, session=session, nonce=nonce, seq=seq)


def listening(latest: int = 0) -> EventFilter:
    return EventFilter(key=KEY, session=SESSION, nonce=NONCE, latest=latest)


GENUINE = Told("task_start", {"task_id": "T-0001"})


def test_an_event_is_taken_out_of_the_text_around_it() -> None:
    text = f"before\n{told(1)}after\x0b\u2028 MCP::x\n{told(2)}rest"

    assert listening().split(text) == [
        "before\n", GENUINE, "after\x0b\u2028 MCP::x\n", GENUINE, "rest",
    ]  # fmt: skip


def test_the_newline_that_the_kernel_puts_before_an_event_goes_with_it() -> None:
    assert listening().split("\n" + told(1)) == [GENUINE]
    assert listening().split("\n\n" + told(1)) == ["\n\n", GENUINE]


@pytest.mark.parametrize(
    "line",
    [
        told(3),
        told(9, key=b"x" * 32),
        told(9, session="6" * 32),
        told(9, nonce="b" * 16),
        told(9)[:-1],
        told(9).replace("T-0001", "T-0002"),
        "MCP::task_start {}\n",
        " " + told(9),
        told(9).replace("\n", "\r\n"),
        told(9).replace("MCP::", "MCP:\u200b:"),
        told(9)[:-2] + "ü}\n",
    ],
)
def test_a_line_that_is_replayed_forged_or_torn_stays_text(line: str) -> None:
    assert listening(latest=3).split(line) == [line]


def test_without_a_key_nothing_is_an_event() -> None:
    assert EventFilter().split(told(1)) == [told(1)]
    assert EventFilter().split("") == []


def test_a_cell_is_interrupted_at_its_time_again_while_it_goes_on_and_then_killed() -> None:
    patience = Patience(2.0, 100.0)
    done = []
    now = 100.0
    while patience.next_at is not None:
        now = patience.next_at
        done.append((now, patience.due(now)))

    assert done[0] == (102.0, "interrupt")
    assert done[-1] == (102.0 + GRACE_S, "kill")
    assert {action for _, action in done[:-1]} == {"interrupt"}
    assert (patience.is_over, patience.due(now + 99)) == (True, None)


def test_a_cell_without_a_timeout_may_take_for_ever() -> None:
    patience = Patience(None, 0.0)

    assert (patience.next_at, patience.due(1e9), patience.is_over) == (None, None, False)


@pytest.mark.parametrize(
    ("code", "after", "words"),
    [
        (0, 0, "exit (exit code 0)"),
        (3, 0, "exit (exit code 3)"),
        (-signal.SIGSEGV, 0, "segfault (SIGSEGV)"),
        (-signal.SIGFPE, 0, "segfault (SIGFPE)"),
        (-signal.SIGABRT, 0, "killed (SIGABRT)"),
        (-signal.SIGKILL, 0, "killed (SIGKILL)"),
        (-signal.SIGKILL, 1, "oom_kernel (SIGKILL)"),
        (-signal.SIGSEGV, 1, "segfault (SIGSEGV)"),
        (-63, 0, "killed (signal 63)"),
        (None, 0, "lost (its exit status is not known)"),
    ],
)
def test_an_ending_is_named_as_death_records_name_it(
    code: int | None, after: int, words: str
) -> None:
    assert ending_of(code, before={"cgroup": 0}, after={"cgroup": after}).words == words


def answer_of(*messages: tuple[str, dict[str, Any]], **reply: Any) -> dict[str, Any]:
    cell = RunningCell(RunCell(id=1, code=""), "m")
    for kind, content in messages:
        list(
            cell.print("stdout", content["text"]) if kind == "stream" else cell.show(kind, content)
        )
    list(cell.end({"content": {"status": "ok", **reply}, "metadata": {}}))
    return dict(cell.answer(1.5))


def test_an_answer_without_facts_of_a_recorder_is_whole() -> None:
    assert answer_of() == {
        "id": 1,
        "success": True,
        "stdout": "",
        "stderr": "",
        "result": None,
        "error": None,
        "debug_info": {
            "added_vars": [],
            "added_imports": [],
            "elapsed_ms": 1.5,
            "execution": "local",
            "seq": None,
        },
    }


def test_text_of_displays_goes_to_stdout_and_that_of_results_to_the_result() -> None:
    said = answer_of(
        ("display_data", {"data": {"text/plain": "<Figure>", "image/png": "…"}}),
        ("display_data", {"data": {"image/png": "…"}}),
        ("execute_result", {"data": {"text/plain": "1"}}),
        ("execute_result", {"data": {"text/plain": "2"}}),
    )

    assert (said["stdout"], said["result"]) == ("<Figure>\n", "1\n2")


def test_the_text_of_a_help_page_is_told_without_colours() -> None:
    page = {"source": "page", "data": {"text/plain": "\x1b[31mDocstring:\x1b[0m x"}, "start": 0}

    assert answer_of(payload=[page, {"source": "ask_exit"}])["stdout"] == "Docstring: x\n"


def test_a_traceback_has_no_colours_and_one_entry_a_line() -> None:
    lines = ["\x1b[31mError\x1b[0m", "a\nb\t\x1b]0;title\x07"]
    error = answer_of(status="error", ename="E", evalue="v", traceback=lines)["error"]

    assert error == {"ename": "E", "evalue": "v", "traceback": ["Error", "a", "b\t"]}


def test_a_flood_keeps_head_and_tail_and_says_how_much_it_was() -> None:
    text = "ä" * (STREAM_CHARS + 1)
    said = answer_of(
        ("stream", {"text": text}),
        ("execute_result", {"data": {"text/plain": "r" * (RESULT_CHARS + 1)}}),
    )

    assert said["truncated"] == {"stdout": 2 * len(text), "result": RESULT_CHARS + 1}
    assert len(said["stdout"]) < STREAM_CHARS + 100
    assert len(said["result"]) < RESULT_CHARS + 100


@pytest.mark.parametrize("odd", [[], "x", 5, None, {"data": [1]}, {"data": {"text/plain": 5}}])
def test_messages_that_a_cell_made_itself_harm_nothing(odd: Any) -> None:
    data = odd if isinstance(odd, dict) else {"data": odd}

    said = answer_of(("display_data", data), ("execute_result", data), payload=odd)
    failed = answer_of(status="error", ename=odd, evalue=odd, traceback=odd)

    assert (said["stdout"], said["result"], failed["success"]) == ("", None, False)
