"""Half a character, which UTF-8 cannot encode, arrives as an escape, and what is near it arrives.

In stock ipykernel the message is not sent, or the cell fails, or the client waits for ever.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from flow_kernel.shell.channels.packed_text import escaped, is_usable
from tests.kernels import Kernel
from tests.promises import promise

BOUND_S: Final = 5.0
HALF: Final = "\\ud800"

SHOWN: Final[dict[str, tuple[str, list[Any]]]] = {
    "text": (
        rf"display({{'text/plain': '{HALF}', 'a{HALF}': 1}}, raw=True)",
        [{"data": {"text/plain": HALF, f"a{HALF}": 1}, "metadata": {}, "transient": {}}],
    ),
    "json": (
        rf"display({{'application/json': {{'{HALF}': [['{HALF}'], ('x{HALF}',)]}}}}, raw=True)",
        [
            {
                "data": {"application/json": {HALF: [[HALF], [f"x{HALF}"]]}},
                "metadata": {},
                "transient": {},
            }
        ],
    ),
    "metadata": (
        rf"display({{'text/plain': 'x'}}, raw=True, metadata={{'{HALF}': [{{'a': '{HALF}'}}]}})",
        [{"data": {"text/plain": "x"}, "metadata": {HALF: [{"a": HALF}]}, "transient": {}}],
    ),
    "display_id": (
        rf"_ = display({{'text/plain': 'x'}}, raw=True, display_id='{HALF}')",
        [{"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": HALF}}],
    ),
    "a_result": (
        rf"get_ipython().display_pub.publish({{'text/html': 'caf\xe9 {HALF}'}})",
        [{"data": {"text/html": f"café {HALF}"}, "metadata": {}, "transient": {}}],
    ),
}


@promise("faults.text")
@pytest.mark.parametrize("mark", ["", "%%isolated\n"], ids=["here", "in_a_worker"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_lines_around_it_are_not_lost(flow: Kernel, stream: str, mark: str) -> None:
    lines = f"print('a', file=f); print('b {HALF}', file=f); print('c', file=f)"
    ran = flow.run(f"{mark}import sys; f = sys.{stream}\n{lines}", timeout=BOUND_S)

    assert ran.stream(stream) == f"a\nb {HALF}\nc\n"


@promise("faults.text")
@pytest.mark.parametrize("mark", ["", "%%isolated\n"], ids=["here", "in_a_worker"])
@pytest.mark.parametrize("name", SHOWN)
def test_what_is_displayed_arrives(flow: Kernel, name: str, mark: str) -> None:
    code, contents = SHOWN[name]
    ran = flow.run(f"{mark}{code}\nprint('after')", timeout=BOUND_S)

    assert [each["content"] for each in ran.of("display_data")] == contents
    assert (ran.status, ran.stdout) == ("ok", "after\n")


@promise("faults.text")
@pytest.mark.parametrize("mark", ["", "%%isolated\n"], ids=["here", "in_a_worker"])
def test_an_error_keeps_its_name_and_text(flow: Kernel, mark: str) -> None:
    ran = flow.run(f"{mark}raise ValueError('bad {HALF}')", timeout=BOUND_S)

    assert ran.error is not None
    assert (ran.error["ename"], ran.error["evalue"]) == ("ValueError", f"bad {HALF}")
    assert (ran.reply["ename"], ran.reply["evalue"]) == ("ValueError", f"bad {HALF}")


@promise("faults.text")
def test_a_result_of_its_own_making_arrives(flow: Kernel) -> None:
    ran = flow.run(
        "class Half:\n    def _repr_mimebundle_(self, **_):\n"
        f"        return {{'text/plain': 'x{HALF}'}}, {{'text/plain': {{'{HALF}': 1}}}}\nHalf()",
        timeout=BOUND_S,
        user_expressions={"half": "Half()"},
    )

    (shown,) = ran.of("execute_result")
    assert shown["content"]["data"] == {"text/plain": f"x{HALF}"}
    assert shown["content"]["metadata"] == {"text/plain": {HALF: 1}}
    assert ran.reply["user_expressions"]["half"]["data"] == {"text/plain": f"x{HALF}"}


@promise("faults.text")
def test_what_a_reply_carries_arrives(flow: Kernel) -> None:
    ran = flow.run(f"get_ipython().set_next_input('{HALF}')", timeout=BOUND_S)
    helped = flow.run(f"def half(): 'says {HALF}'\nhalf?", timeout=BOUND_S)
    asked = {"code": "half", "cursor_pos": 4, "detail_level": 0}

    assert [each["text"] for each in ran.reply["payload"]] == [HALF]
    assert f"says {HALF}" in helped.reply["payload"][0]["data"]["text/plain"]
    assert f"says {HALF}" in flow.ask("inspect_request", asked)["data"]["text/plain"]


@promise("faults.text")
def test_comms_and_questions_arrive(flow: Kernel) -> None:
    ran = flow.run(
        f"import comm; _c = comm.create_comm(target_name='half', data={{'a': '{HALF}'}})\n"
        f"_c.send({{'b': [['{HALF}']]}})",
        timeout=BOUND_S,
    )
    msg_id = flow.send(f"input('{HALF}? ')", allow_stdin=True)
    flow.wait(lambda: len(flow.inputs) == 1)
    prompt = flow.inputs[0]["content"]["prompt"]
    answered = flow.collect(msg_id, answers=["yes"], timeout=BOUND_S)

    said = [each["content"]["data"] for each in (*ran.of("comm_open"), *ran.of("comm_msg"))]
    assert said == [{"a": HALF}, {"b": [[HALF]]}]
    assert (prompt, answered.result) == (f"{HALF}? ", "'yes'")


@promise("faults.text")
def test_a_cell_whose_source_holds_it_runs(flow: Kernel) -> None:
    with _escapes_of_json(flow):
        msg_id = flow.send("s = 'HALF'; print(len(s)); s")
    ran = flow.collect(msg_id, timeout=BOUND_S)

    assert (ran.stdout, ran.result, ran.stderr) == ("1\n", f"'{HALF}'", "")
    assert flow.run("1 + 1", timeout=BOUND_S).result == "2"


@promise("faults.text")
def test_only_what_cannot_be_encoded_is_changed() -> None:
    good = {"a": ["é", 1, None, 2.5, {"b": ("x", "😀")}], "c": b"raw"}

    assert escaped(good) == {"a": ["é", 1, None, 2.5, {"b": ["x", "😀"]}], "c": b"raw"}
    assert escaped({"\ud800": ["é\udfff"]}) == {HALF: ["é\\udfff"]}
    assert is_usable()


@contextmanager
def _escapes_of_json(kernel: Kernel) -> Iterator[None]:
    """Sends `HALF` as the browser does: as an escape of JSON, which no packer of Python makes."""
    kernel.ready()
    pack = kernel.session.pack
    kernel.session.pack = lambda value: (
        json.dumps(value, default=str).replace("HALF", HALF).encode()
    )
    try:
        yield
    finally:
        kernel.session.pack = pack
