"""Comms of isolated cells: widgets of a worker are alive for the client, also while it is busy."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernels import Kernel
from tests.promises import promise

OPEN = (
    "%%isolated --worker comms\nimport comm, threading\nfrom pathlib import Path\n"
    "heard = []\ngo = threading.Event()\n"
    "c = comm.create_comm(target_name='flow.test', data={'hello': 1})\n"
    "def on_msg(m):\n"
    "    heard.append(m['content']['data']); c.send({'echo': m['content']['data']}); go.set()\n"
    "c.on_msg(on_msg)\nprint(c.comm_id)"
)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


def opened(kernel: Kernel) -> str:
    ran = kernel.run(OPEN)
    assert ran.status == "ok", ran.error
    (message,) = ran.of("comm_open")
    assert message["content"]["data"] == {"hello": 1}
    assert message["content"]["comm_id"] == ran.stdout.strip()
    return ran.stdout.strip()


def said(kernel: Kernel, comm_id: str) -> list[Any]:
    return [
        m["content"]["data"]
        for m in kernel.iopub
        if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm_id
    ]


@promise("isolated.relay")
def test_a_client_and_a_comm_of_a_worker_talk(kernel: Kernel) -> None:
    comm_id = opened(kernel)
    kernel.request("comm_msg", {"comm_id": comm_id, "data": {"n": 1}})
    kernel.wait(lambda: said(kernel, comm_id) == [{"echo": {"n": 1}}])
    assert kernel.ask("comm_info_request", {})["comms"] == {comm_id: {"target_name": "flow.test"}}
    ran = kernel.run("%%isolated --worker comms\nheard")
    assert ran.result == "[{'n': 1}]"
    kernel.request("comm_close", {"comm_id": comm_id, "data": {}})
    kernel.wait(lambda: kernel.ask("comm_info_request", {})["comms"] == {})


@promise("isolated.relay")
def test_clients_hear_one_session(kernel: Kernel) -> None:
    # JupyterLab drops a comm_open whose session is not that of the message it received last.
    ran = kernel.run(OPEN)
    assert ran.status == "ok", ran.error
    sessions = {message["header"]["session"] for message in ran.messages}
    assert sessions == {kernel.run("get_ipython().kernel.session.session").result.strip("'")}


@promise("isolated.relay")
@pytest.mark.parametrize("answer", ["c.send({'at': 'last'})", "os._exit(1)"])
def test_a_request_ends_when_its_worker_is_done_with_it(kernel: Kernel, answer: str) -> None:
    # An Output widget hears what its request says until that ends.
    comm_id = opened(kernel)
    kernel.run(
        "%%isolated --worker comms\nimport os, time\n"
        f"def slow(m): c.send({{'at': 'first'}}); time.sleep(0.2); {answer}\nc.on_msg(slow)"
    )
    msg_id = kernel.request("comm_msg", {"comm_id": comm_id, "data": {}})
    kernel.wait(lambda: msg_id in kernel._idle)
    ends = [m["msg_type"] for m in kernel.iopub if m["msg_type"] == "comm_close"]
    if "send" in answer:
        assert said(kernel, comm_id) == [{"at": "first"}, {"at": "last"}]
    else:
        assert (said(kernel, comm_id), ends) == ([{"at": "first"}], ["comm_close"])


@promise("isolated.relay")
def test_an_error_of_a_callback_is_shown_at_once(kernel: Kernel) -> None:
    comm_id = opened(kernel)
    kernel.run(
        "%%isolated --worker comms\n"
        "def fails(m):\n    try: 1 / 0\n    except Exception: get_ipython().showtraceback()\n"
        "c.on_msg(fails)"
    )
    msg_id = kernel.request("comm_msg", {"comm_id": comm_id, "data": {}})
    kernel.wait(lambda: msg_id in kernel._idle)
    errors = [m["content"]["ename"] for m in kernel.iopub if m["msg_type"] == "error"]
    assert errors == ["ZeroDivisionError"]


@promise("isolated.relay")
def test_they_talk_while_the_cell_is_busy(kernel: Kernel) -> None:
    comm_id = opened(kernel)
    subshell = kernel.ask("create_subshell_request", {}, channel="control")["subshell_id"]
    msg_id = kernel.send(
        "%%isolated --worker comms\ngo.clear(); Path('begun').touch()\ngo.wait(15)"
    )
    kernel.wait((kernel.cwd / "begun").exists)
    kernel.request("comm_msg", {"comm_id": comm_id, "data": {"n": 2}}, subshell=subshell)
    assert kernel.collect(msg_id).result == "True"
    assert said(kernel, comm_id) == [{"echo": {"n": 2}}]


@promise("isolated.relay")
def test_the_comms_of_a_dead_worker_are_closed(kernel: Kernel) -> None:
    comm_id = opened(kernel)
    kernel.run("%%isolated --worker comms\nimport os; os._exit(1)")
    closed = [m for m in kernel.iopub if m["msg_type"] == "comm_close"]
    assert [m["content"]["comm_id"] for m in closed] == [comm_id]
    assert kernel.ask("comm_info_request", {})["comms"] == {}


@promise("isolated.relay")
def test_an_error_is_shown_once_while_a_thread_goes_on_printing(kernel: Kernel) -> None:
    code = (
        "%%isolated\nimport threading, time\n"
        "def on():\n    for i in range(40): print(i, flush=True); time.sleep(0.002)\n"
        "threading.Thread(target=on).start(); time.sleep(0.01)\n1 / 0"
    )
    for _ in range(3):
        ran = kernel.run(code)
        assert len(ran.of("error")) == 1
        kernel.wait_for_text("39\n")
        kernel.iopub.clear()


@promise("isolated.survives")
def test_exit_in_a_cell_ends_no_worker(kernel: Kernel) -> None:
    assert kernel.run("%%isolated\nkept = 1").status == "ok"
    ran = kernel.run("%%isolated\nexit()")
    assert (ran.status, ran.reply["payload"]) == ("ok", [])
    assert "%workers stop" in ran.stderr
    assert kernel.run("%%isolated\nkept").result == "1"
