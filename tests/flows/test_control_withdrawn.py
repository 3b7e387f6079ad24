"""A cell that waits is given up from outside: it never runs, and its record says so."""

from flow_kernel.apps.control_client import ControlClient, find_kernel
from flow_kernel.records.home import Home
from tests.kernels import Kernel
from tests.promises import promise


@promise("control.obeyed")
def test_a_cell_that_waits_is_given_up_where_that_is_asked_for_and_never_runs(
    flow: Kernel,
) -> None:
    ended = flow.run("import threading; ran = []")
    msg_id = flow.send("print('begun')\nthreading.Event().wait()", stop_on_error=False)
    flow.wait(lambda: "begun" in flow.stream(parent=msg_id))
    waits = flow.send("ran.append('waits')", stop_on_error=False)
    unseen = flow.send("ran.append('unseen')", metadata={"flow": {"record": False}})
    ids = (ended.msg_id, waits, unseen, waits, "to come", msg_id)
    with ControlClient.of(find_kernel(Home(flow.home))) as client:
        told = [client.ask("cancel", msg_id=each, unbegun=True) for each in ids]
    replies = [flow.collect(each).reply for each in (msg_id, waits, unseen)]

    assert told == [
        {"cancelled": False, "withdrawn": False},
        *[{"cancelled": True, "withdrawn": True}] * 4,
        {"cancelled": True, "withdrawn": False},
    ]
    assert [each["ename"] for each in replies] == ["KeyboardInterrupt"] * 3
    assert flow.run("ran").result == "[]"
    record = flow.logs.records("cell", msg_id=waits)[0]
    assert (record["status"], record["success"]) == ("interrupted", False)
