"""Buttons below a question: pressed while the cell blocks, by whichever front end."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest

from flow_kernel.shell.views.input_box import _PRESS_ENTER
from tests.front_ends import VIEW, FrontEnd
from tests.hostile_texts import TEXTS
from tests.kernels import STOCK, Kernel
from tests.promises import promise

_WAITING_THREAD: Final = (
    "import threading\nspins = True\n"
    "def spin():\n    n = 0\n    while spins: n += 1\n"
    "spinner = threading.Thread(target=spin); spinner.start()"
)
_SETTLED_INTERVAL: Final = (
    "import time\nuntil = time.monotonic() + 15\n"
    "while sys.getswitchinterval() != 0.003 and time.monotonic() < until: time.sleep(0.01)\n"
    "sys.getswitchinterval()"
)


@pytest.fixture(scope="module")
def lab(flow: Kernel) -> FrontEnd:
    return FrontEnd(flow, is_lab=True)


@pytest.fixture(scope="module")
def code(flow: Kernel) -> FrontEnd:
    return FrontEnd(flow, is_lab=False)


@pytest.fixture(params=["JupyterLab", "VS Code"])
def front(request: pytest.FixtureRequest, lab: FrontEnd, code: FrontEnd) -> FrontEnd:
    return lab if request.param == "JupyterLab" else code


@pytest.fixture(scope="module")
def stock() -> Iterator[Kernel]:
    with Kernel(STOCK) as kernel:
        kernel.run("%load_ext flow_kernel")
        yield kernel


@promise("panel.press")
def test_a_press_answers_the_cell_that_blocks(front: FrontEnd) -> None:
    cell = front.begin("ok = %approve Delete 3 files?\nbool(ok)")
    widget = front.widget(cell)
    widget.answers("approve", "as agreed")

    ran = front.ended(cell)

    assert ran.result == "True"
    answered = front.kernel.logs.records("approval", status="approved")[-1]
    assert (answered["channel"], answered["comment"]) == ("button", "as agreed")
    assert widget.flow["question"]["message"] == "Delete 3 files?"
    assert widget.flow["question"]["code"] == []  # it is the cell above
    assert widget.heard("ended")[0]["tone"] == "good"


@promise("panel.press")
def test_a_press_answers_beside_a_thread_that_computes(front: FrontEnd) -> None:
    front.run(_WAITING_THREAD)

    cell = front.begin("ok = %approve Go?\nspins = False; spinner.join(); bool(ok)")
    front.widget(cell).answers("approve")

    assert front.ended(cell).result == "True"


@promise("panel.press")
def test_a_press_leaves_the_switch_interval_as_the_user_has_set_it(front: FrontEnd) -> None:
    front.run("import sys; sys.setswitchinterval(0.003)")

    cell = front.begin("ok = %approve Go?")
    front.widget(cell).answers("approve")
    front.ended(cell)

    assert front.run(_SETTLED_INTERVAL).result == "0.003"
    front.run("sys.setswitchinterval(0.005)")


@promise("panel.press")
def test_reject_ends_the_cell_and_skip_passes_over_its_body(front: FrontEnd) -> None:
    rejected = front.begin("%approve Drop it?\nran = True")
    front.widget(rejected).answers("reject", "not today")
    no = front.ended(rejected)
    skipped = front.begin("%%approve Drop it?\nran = True")
    widget = front.widget(skipped)
    widget.answers("skip")
    passed = front.ended(skipped)

    assert no.error is not None
    assert no.error["ename"] == "ApprovalRejected"
    assert "(button)" in no.error["evalue"]
    assert "not today" in no.error["evalue"]
    assert passed.status == "ok"
    assert widget.flow["question"]["code"] == []  # the body of the cell
    assert front.run("'ran' in globals()").result == "False"


@promise("panel.press")
def test_a_question_of_the_policy_has_buttons(front: FrontEnd) -> None:
    cell = front.begin("6 * 7", flow={"approve": "always"})
    widget = front.widget(cell)
    widget.answers("approve")

    assert front.ended(cell).result == "42"


@promise("panel.press")
def test_a_question_of_an_isolated_cell_has_buttons(lab: FrontEnd) -> None:
    cell = lab.begin("%%isolated\nok = %approve From afar?\nbool(ok)")
    lab.widget(cell).answers("approve")

    assert lab.ended(cell).result == "True"


@promise("panel.press")
def test_the_box_answers_as_well_and_the_buttons_say_what_it_was(front: FrontEnd) -> None:
    cell = front.begin("ok = %approve Typed?\nbool(ok)")
    widget = front.widget(cell)

    front.types("no, later")
    front.kernel.wait(lambda: bool(widget.heard("ended")))
    if front.is_lab:
        front.closes_box()
    ran = front.ended(cell)

    assert ran.result == "False"
    assert widget.heard("ended")[0]["text"].endswith("rejected by root (stdin): later")


@promise("panel.once")
def test_of_two_clients_that_press_at_once_one_wins_and_both_see_it(lab: FrontEnd) -> None:
    for number in range(5):
        cell = lab.begin(f"ok = %approve Both {number}?\nok.row.status")
        widget = lab.widget(cell)
        question = widget.flow["question"]["id"]
        widget.says({"op": "answer", "id": question, "decision": "reject", "comment": "a"})
        widget.says({"op": "answer", "id": question, "decision": "approve", "comment": "b"})
        lab.closes_box()
        ran = lab.ended(cell)

        answers = lab.kernel.logs.records("approval", approval_id=question)
        decided = {(each["status"], each["comment"]) for each in answers if each["decided_by"]}
        assert ran.result == "'rejected'"
        assert decided == {("rejected", "a")}
        assert "rejected by" in widget.wait_for("ended")["text"]


@promise("panel.once")
def test_a_press_after_the_end_counts_for_nothing(front: FrontEnd) -> None:
    cell = front.begin("ok = %approve Once?")
    widget = front.widget(cell)
    widget.answers("reject")
    front.ended(cell)

    widget.answers("approve")
    state = widget.says({"op": "hello"})
    front.run("1")

    question = widget.flow["question"]["id"]
    statuses = {r["status"] for r in front.kernel.logs.records("approval", approval_id=question)}
    assert statuses == {"open", "rejected"}
    assert state not in front.kernel.replies


@promise("panel.quiet")
def test_a_press_is_no_request_of_the_kernel(front: FrontEnd) -> None:
    front.run(
        "events = []\ndef note(): events.append('post')\n"
        "get_ipython().events.register('post_execute', note)"
    )
    cell = front.begin("ok = %approve Quietly?\nget_ipython().events.unregister("
                       "'post_execute', note)\nevents")  # fmt: skip
    widget = front.widget(cell)
    question = widget.flow["question"]["id"]
    said = widget.says({"op": "answer", "id": question, "decision": "approve"})
    front.closes_box()

    ran = front.ended(cell)

    statuses = [m for m in front.kernel.heard if m["parent_header"].get("msg_id") == said]
    assert statuses == []
    assert ran.result == "['post']"  # of the cell that registers


@promise("panel.hostile")
@pytest.mark.parametrize(
    "said",
    [
        None, 7, "approve", [], {}, {"op": 1}, {"op": "answer"},
        {"op": "answer", "id": 1, "decision": "approve"},
        {"op": "answer", "id": "A-9999", "decision": "approve"},
        {"op": "answer", "id": "$own", "decision": "cancel"},
        {"op": "answer", "id": "$own", "decision": ["approve"]},
        {"op": "answer", "id": "$own", "decision": "approve", "comment": {}},
        {"op": "rollback", "id": "x", "sure": True}, {"op": "x" * 100_000},
    ],
)  # fmt: skip
def test_what_is_no_answer_counts_for_nothing(lab: FrontEnd, said: Any) -> None:
    cell = lab.begin("ok = %approve Sure?\nok.row.status")
    widget = lab.widget(cell)
    own = widget.flow["question"]["id"]
    if isinstance(said, dict) and said.get("id") == "$own":
        said = said | {"id": own}
    widget.says(said)
    lab.comm("comm_msg", widget.comm_id, said)
    widget.answers("skip")

    assert lab.ended(cell).result == "'skipped'"


@promise("panel.hostile")
def test_no_element_of_a_hostile_text_is_shown(lab: FrontEnd) -> None:
    ours = _elements(_still(lab, "Delete?", "a comment"))

    for text in TEXTS[:: len(TEXTS) // 6]:
        assert _elements(_still(lab, text, text)) == ours, text


@promise("panel.falls_back")
def test_a_client_that_shows_no_widgets_is_asked_as_ever(flow: Kernel) -> None:
    cell = flow.send("ok = %approve Plain?\nbool(ok)", allow_stdin=True)

    ran = flow.collect(cell, answers=["yes"])

    assert ran.result == "True"
    kinds = {m["msg_type"] for m in ran.messages}
    assert kinds == {"stream", "execute_result"}


@promise("panel.falls_back")
def test_without_anywidget_the_box_is_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.machinery as machinery\n"
        "found = machinery.PathFinder.find_spec.__func__\n"
        "machinery.PathFinder.find_spec = classmethod(lambda cls, name, *more:"
        " None if name == 'anywidget' else found(cls, name, *more))\n",
        encoding="utf-8",
    )
    with Kernel(env={"PYTHONPATH": str(tmp_path)}) as kernel:
        front = FrontEnd(kernel, is_lab=False)
        cell = front.begin("ok = %approve Plain?\nbool(ok)")
        ran = kernel.collect(cell, answers=["yes"])
        panel = front.run("%flow panel")

    assert ran.result == "True"
    assert {m["msg_type"] for m in ran.messages} == {"stream", "execute_result"}
    assert panel.result is not None
    assert panel.result.endswith("pip install 'flow_kernel[ui]'")


@promise("panel.falls_back")
def test_with_the_extension_the_press_of_a_subshell_answers(stock: Kernel) -> None:
    front = FrontEnd(stock, is_lab=True)
    cell = front.begin("ok = %approve In stock?\nbool(ok)")
    front.widget(cell).answers("approve")

    assert front.ended(cell).result == "True"


@promise("panel.falls_back")
def test_with_the_extension_a_press_without_a_subshell_waits_and_the_box_answers(
    stock: Kernel,
) -> None:
    front = FrontEnd(stock, is_lab=False)
    cell = front.begin("ok = %approve In stock?\nok.row.channel")
    widget = front.widget(cell)
    widget.answers("reject")
    front.types("yes")

    assert front.ended(cell).result == "'stdin'"


@promise("panel.falls_back")
def test_a_reopened_notebook_has_text_and_html_of_the_answer(lab: FrontEnd) -> None:
    cell = lab.begin("%approve Kept?")
    widget = lab.widget(cell)
    widget.answers("approve")

    ran = lab.ended(cell)

    shown = {m["content"]["transient"]["display_id"]: m["content"]["data"]
             for m in ran.messages if m["msg_type"].endswith("display_data")}  # fmt: skip
    still, *left = shown.values()
    assert still["text/plain"].endswith("approved by root (button)")
    assert "approved by root" in still["text/html"]
    assert {VIEW in data for data in (still, *left)} == {False}


@promise("panel.falls_back")
def test_the_state_of_a_widget_is_told_to_a_page_that_is_loaded_again(front: FrontEnd) -> None:
    cell = front.begin("ok = %approve Again?")
    widget = front.widget(cell)

    asked = front.comm("comm_msg", widget.comm_id, {"method": "request_state"})
    told: list[Any] = []
    front.kernel.wait(
        lambda: bool(
            told.extend(m for m in front.kernel.iopub if m["parent_header"].get("msg_id") == asked)
            or told
        )
    )
    widget.answers("approve")
    front.ended(cell)
    listed = front.kernel.ask("comm_info_request", {"target_name": "jupyter.widget"})

    state = told[0]["content"]["data"]["state"]
    assert state == widget.state
    assert widget.comm_id in listed["comms"]


def _still(lab: FrontEnd, message: str, comment: str) -> str:
    """All HTML of one question with its answer, but for what closes a box that is open still."""
    cell = lab.begin(
        f"import flow_kernel\nflow_kernel.current_session().request_approval({message!r})"
    )
    lab.widget(cell).answers("approve", comment)
    ran = lab.ended(cell)
    shown = [m["content"]["data"] for m in ran.messages if m["msg_type"].endswith("display_data")]
    return "".join(html for data in shown if (html := data.get("text/html", "")) != _PRESS_ENTER)


def _elements(html: str) -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = []

    class _Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, tuple(name for name, _ in attrs)))

    _Reader().feed(html)
    return found
