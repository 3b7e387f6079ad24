"""What a cell leaves behind goes on under the name of who has sent the cell."""

import pytest

from tests.kernels import Kernel
from tests.promises import promise

_AGENT = {"flow": {"actor": "mcp:agent"}}
_WAITS = "while not go.is_set(): await asyncio.sleep(0.01)"
_BEGIN = """
import asyncio, threading
import flow_kernel
go, said = threading.Event(), threading.Event()
session = flow_kernel.current_session()
def speak(word):
    go.wait(20)
    session.tasks.log(f"{word} in a thread")
    said.set()
async def chat(word):
    while not go.is_set():
        await asyncio.sleep(0.01)
    session.tasks.log(f"{word} in a task of asyncio")
"""


def _authors(kernel: Kernel) -> dict[str, str]:
    """Who wrote each line in the log of a task."""
    return {r["log"]: r["author"] for r in kernel.logs.records("step") if r.get("log")}


@promise("record.actor")
def test_threads_and_tasks_of_an_agents_cell_act_for_the_agent_after_it(flow: Kernel) -> None:
    flow.run(_BEGIN)
    flow.run("%task start Speaking")
    flow.run(
        "thread = threading.Thread(target=speak, args=('agent',))\n"
        "outer = threading.Thread(target=thread.start); outer.start(); outer.join()\n"
        "task = asyncio.ensure_future(chat('agent'))\n"
        "await asyncio.sleep(0)",
        metadata=_AGENT,
    )
    flow.run("own = asyncio.ensure_future(chat('person')); await asyncio.sleep(0)")
    flow.run("go.set(); await task; await own; said.wait(20); session.tasks.log('a cell')")
    flow.run("session.tasks.log('another cell')", metadata=_AGENT)

    authors = _authors(flow)
    authors.pop("person in a thread", None)
    assert authors == {
        "agent in a thread": "mcp:agent",
        "agent in a task of asyncio": "mcp:agent",
        "person in a task of asyncio": "user",
        "a cell": "user",
        "another cell": "mcp:agent",
    }


@promise("record.actor")
def test_a_thread_of_a_person_stays_theirs_while_an_agents_cell_runs(flow: Kernel) -> None:
    flow.run(_BEGIN)
    flow.run("%task start Speaking of a person")
    flow.run("thread = threading.Thread(target=speak, args=('person',)); thread.start()")
    flow.run("go.set(); said.wait(20)", metadata=_AGENT)

    assert _authors(flow)["person in a thread"] == "user"


@promise("record.actor")
def test_what_a_person_begins_after_an_agents_cell_that_awaited_is_theirs(flow: Kernel) -> None:
    flow.run(_BEGIN)
    flow.run("%task start Speaking behind an agent")
    flow.run("await asyncio.sleep(0)", metadata=_AGENT)
    flow.run("thread = threading.Thread(target=speak, args=('person',)); thread.start()")
    flow.run("go.set(); said.wait(20)")

    assert _authors(flow)["person in a thread"] == "user"


@promise("record.actor")
def test_what_an_agents_thread_asks_and_runs_is_of_the_agent(flow: Kernel) -> None:
    flow.run(
        "import threading, flow_kernel\n"
        "def work():\n"
        "    get_ipython().run_cell('of_a_thread = 1', store_history=True)\n"
        "    session = flow_kernel.current_session()\n"
        "    session.request_approval('from a thread?', park=False, timeout_s=0.1)\n"
        "thread = threading.Thread(target=work); thread.start()",
        metadata=_AGENT,
    )
    flow.run("thread.join(20)")

    cells = {record["code"]: record["actor"] for record in flow.logs.records("cell_started")}
    asked = flow.logs.records("approval", message="from a thread?")
    assert cells["of_a_thread = 1"] == "mcp:agent"
    assert {record["requested_by"] for record in asked} == {"mcp:agent"}


@promise("record.actor")
def test_a_worker_that_an_agents_thread_begins_is_of_the_agent(flow: Kernel) -> None:
    flow.run(
        "import threading\n"
        "def work():\n"
        "    shell = get_ipython()\n"
        "    shell.run_cell_magic('isolated', '--bg', 'in_a_worker = 1').wait(20)\n"
        "thread = threading.Thread(target=work); thread.start()",
        metadata=_AGENT,
    )
    flow.run("thread.join(20)")

    cells = {record["code"]: record["actor"] for record in flow.logs.records("cell")}
    assert cells["in_a_worker = 1"] == "mcp:agent"


@promise("mcp.beside")
@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize(
    ("code", "is_stale"),
    [
        ("sorted(globals()); values[0]", False),
        ("_VSCODE_x = 1", False),
        ("values = [2]", True),
        ("fresh_{silent} = 1", True),
    ],
)
def test_a_hidden_request_makes_a_rev_stale_only_where_it_binds_a_variable(
    flow: Kernel, code: str, *, is_stale: bool, silent: bool
) -> None:
    rev = flow.run("values = [1]").flow["seq"]
    flow.run(code.format(silent=silent), silent=silent, store_history=False)
    expecting = flow.run("1", metadata={"flow": {"expect_rev": rev}})

    told = expecting.error["ename"] if expecting.error else ""
    assert told == ("StaleRevision" if is_stale else "")


@promise("mcp.beside")
def test_an_expression_of_a_client_that_binds_a_variable_makes_a_rev_stale(flow: Kernel) -> None:
    rev = flow.run("looked_at = 1").flow["seq"]
    flow.run("", user_expressions={"x": "looked_at"}, store_history=False)
    fine = flow.run("2", metadata={"flow": {"expect_rev": rev}})
    flow.run("", user_expressions={"x": "(bound := looked_at)"}, store_history=False)
    stale = flow.run("3", metadata={"flow": {"expect_rev": fine.flow["seq"]}})

    assert fine.error is None
    assert stale.error is not None
    assert stale.error["ename"] == "StaleRevision"
