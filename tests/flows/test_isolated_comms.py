"""Comms of isolated cells: widgets of a worker are alive for the client, also while it is busy."""

from typing import Any

import pytest

from tests.isolating import ok
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
def test_a_client_and_a_comm_of_a_worker_talk(own: Kernel) -> None:
    comm_id = opened(own)
    own.request("comm_msg", {"comm_id": comm_id, "data": {"n": 1}})
    own.wait(lambda: said(own, comm_id) == [{"echo": {"n": 1}}])
    assert own.ask("comm_info_request", {})["comms"] == {comm_id: {"target_name": "flow.test"}}
    ran = own.run("%%isolated --worker comms\nheard")
    assert ran.result == "[{'n': 1}]"
    own.request("comm_close", {"comm_id": comm_id, "data": {}})
    own.wait(lambda: own.ask("comm_info_request", {})["comms"] == {})


def closed(kernel: Kernel) -> list[str]:
    return [m["content"]["comm_id"] for m in kernel.iopub if m["msg_type"] == "comm_close"]


@promise("isolated.relay")
def test_a_client_opens_a_comm_of_a_worker(own: Kernel) -> None:
    ok(
        own,
        "%%isolated --worker comms\nimport comm\ndef opened(c, m):\n"
        "    c.send({'hello': m['content']['data']})\n"
        "    c.on_msg(lambda m: c.send({'echo': m['content']['data']}))\n"
        "comm.get_comm_manager().register_target('flow.there', opened)",
    )
    there = {"target_name": "flow.there", "comm_id": "a", "data": 1}
    own.request("comm_open", there)
    own.wait(lambda: said(own, "a") == [{"hello": 1}])
    own.request("comm_msg", {"comm_id": "a", "data": 2})
    own.wait(lambda: said(own, "a") == [{"hello": 1}, {"echo": 2}])
    assert own.ask("comm_info_request", {})["comms"] == {"a": {"target_name": "flow.there"}}

    ok(
        own,
        "%%isolated --worker other\nimport comm\n"
        "comm.get_comm_manager().register_target('flow.there', lambda c, m: c.send('other'))",
    )
    own.request("comm_open", {**there, "comm_id": "o"})
    own.wait(lambda: said(own, "o") == ["other"])
    ok(own, "%workers stop other")
    own.wait(lambda: closed(own) == ["o"])
    own.request("comm_open", {**there, "comm_id": "c"})
    own.wait(lambda: said(own, "c") == [{"hello": 1}])
    own.iopub.clear()

    ok(own, "%workers stop comms")
    own.wait(lambda: sorted(closed(own)) == ["a", "c"])
    own.request("comm_open", {**there, "comm_id": "b"})
    own.wait(lambda: closed(own)[2:] == ["b"])  # as for any name that nobody knows


@promise("isolated.relay")
def test_a_client_that_asks_for_all_widgets_is_sent_to_each_of_them(own: Kernel) -> None:
    # One process would answer for its own, and a page that is loaded again would miss the others.
    ok(own, "import ipywidgets; here = ipywidgets.IntSlider()")
    control = {"target_name": "jupyter.widget.control", "data": {}}
    everything = {"method": "request_states"}
    own.request("comm_open", {**control, "comm_id": "a"}, metadata={"version": "1.0.0"})
    own.request("comm_msg", {"comm_id": "a", "data": everything})
    own.wait(lambda: said(own, "a") and said(own, "a")[0]["method"] == "update_states")

    model = ok(
        own,
        "%%isolated\nimport ipywidgets; there = ipywidgets.IntSlider(value=7); there.comm.comm_id",
    ).strip("'")
    own.request("comm_open", {**control, "comm_id": "b"})
    own.wait(lambda: "b" in closed(own))
    assert model in own.ask("comm_info_request", {})["comms"]
    own.request("comm_msg", {"comm_id": model, "data": {"method": "request_state"}})
    own.wait(lambda: any(each.get("state", {}).get("value") == 7 for each in said(own, model)))


@promise("isolated.relay")
def test_clients_hear_one_session(own: Kernel) -> None:
    # JupyterLab drops a comm_open whose session is not that of the message it received last.
    ran = own.run(OPEN)
    assert ran.status == "ok", ran.error
    sessions = {message["header"]["session"] for message in ran.messages}
    assert sessions == {own.run("get_ipython().kernel.session.session").result.strip("'")}


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
    closed = [m["content"]["comm_id"] for m in kernel.iopub if m["msg_type"] == "comm_close"]
    if "send" in answer:
        assert said(kernel, comm_id) == [{"at": "first"}, {"at": "last"}]
    else:
        assert said(kernel, comm_id) == [{"at": "first"}]
        assert closed.count(comm_id) == 1  # the kernel of this module may have had others


@promise("isolated.relay")
def test_an_error_of_a_callback_is_shown_at_once(own: Kernel) -> None:
    comm_id = opened(own)
    own.run(
        "%%isolated --worker comms\n"
        "def fails(m):\n    try: 1 / 0\n    except Exception: get_ipython().showtraceback()\n"
        "c.on_msg(fails)"
    )
    msg_id = own.request("comm_msg", {"comm_id": comm_id, "data": {}})
    own.wait(lambda: msg_id in own._idle)
    errors = [m["content"]["ename"] for m in own.iopub if m["msg_type"] == "error"]
    assert errors == ["ZeroDivisionError"]


@promise("isolated.relay", "isolated.interrupt")
def test_an_interrupt_stops_a_callback(own: Kernel) -> None:
    comm_id = opened(own)
    own.run(
        "%%isolated --worker comms\nimport os\nprint(os.getpid())\n"
        "def forever(m):\n    Path('begun').touch()\n    while True: pass\nc.on_msg(forever)"
    )
    pid = ok(own, "%%isolated --worker comms\nos.getpid()")
    for _ in range(2):
        (own.cwd / "begun").unlink(missing_ok=True)
        msg_id = own.request("comm_msg", {"comm_id": comm_id, "data": {}})
        own.wait((own.cwd / "begun").exists)
        assert ok(own, "1 + 1") == "2"
        own.interrupt()
        own.wait(lambda msg_id=msg_id: msg_id in own._idle)
    assert ok(own, "%%isolated --worker comms\nos.getpid()") == pid
    own.interrupt()  # nothing runs: it is nobody's
    assert ok(own, "%%isolated --worker comms\nos.getpid()") == pid


@promise("isolated.relay", "isolated.interrupt")
def test_whoever_presses_stop_again_and_again_is_answered(own: Kernel) -> None:
    own.run(
        "%%isolated --worker comms\nimport comm, time\n"
        "c = comm.create_comm(target_name='flow.test', comm_id='a')\n"
        "def deaf(m):\n    while True:\n"
        "        try: time.sleep(100)\n        except KeyboardInterrupt: pass\n"
        "c.on_msg(deaf)"
    )
    own.request("comm_msg", {"comm_id": "a", "data": {}})
    for turn in range(200):
        own.interrupt()
        own.pump(turn % 7 / 20_000)
        own.interrupt()
        own.pump(0.005)
    assert own.ask("kernel_info_request", {})["status"] == "ok"


@promise("isolated.relay")
def test_they_talk_while_the_cell_is_busy(own: Kernel) -> None:
    comm_id = opened(own)
    subshell = own.ask("create_subshell_request", {}, channel="control")["subshell_id"]
    msg_id = own.send("%%isolated --worker comms\ngo.clear(); Path('begun').touch()\ngo.wait(15)")
    own.wait((own.cwd / "begun").exists)
    own.request("comm_msg", {"comm_id": comm_id, "data": {"n": 2}}, subshell=subshell)
    assert own.collect(msg_id).result == "True"
    assert said(own, comm_id) == [{"echo": {"n": 2}}]


@promise("isolated.relay")
def test_the_comms_of_a_dead_worker_are_closed(own: Kernel) -> None:
    comm_id = opened(own)
    own.run("%%isolated --worker comms\nimport os; os._exit(1)")
    closed = [m for m in own.iopub if m["msg_type"] == "comm_close"]
    assert [m["content"]["comm_id"] for m in closed] == [comm_id]
    assert own.ask("comm_info_request", {})["comms"] == {}


@promise("isolated.relay")
def test_an_error_is_shown_once_while_a_thread_goes_on_printing(own: Kernel) -> None:
    code = (
        "%%isolated\nimport threading, time\n"
        "def on():\n    for i in range(40): print(i, flush=True); time.sleep(0.002)\n"
        "threading.Thread(target=on).start(); time.sleep(0.01)\n1 / 0"
    )
    for _ in range(3):
        ran = own.run(code)
        assert len(ran.of("error")) == 1
        own.wait_for_text("39\n")
        own.iopub.clear()


@promise("isolated.survives")
def test_exit_in_a_cell_ends_no_worker(own: Kernel) -> None:
    assert own.run("%%isolated\nkept = 1").status == "ok"
    ran = own.run("%%isolated\nexit()")
    assert (ran.status, ran.reply["payload"]) == ("ok", [])
    assert "%workers stop" in ran.stderr
    assert own.run("%%isolated\nkept").result == "1"
