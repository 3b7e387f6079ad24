"""What a careless or hostile client does to the server: it is told, and nothing else suffers."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from flow_kernel.apps.control_client import find_kernel
from flow_kernel.records.home import Home
from tests.agents import Agent
from tests.kernels import Kernel
from tests.promises import promise
from tests.raw_agent import RawAgent
from tests.workers.trees import until

_LONG = "import time\nwhile True: time.sleep(0.01)"


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """A server with a kernel of its own."""
    with Agent("--new") as agent:
        yield agent


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@promise("mcp.survives")
def test_a_message_that_cannot_be_read_is_answered_at_once() -> None:
    with RawAgent("--new") as raw:
        raw.hello()
        half = raw.call("task", action="start", name="half a character: \ud800")
        deep = raw.call("request_approval", message="deep", payload=_nested(900))
        raw.send('{"jsonrpc": "2.0", "params": {"id": 3, "x": "\\ud800"}}')  # asks for no answer
        raw.send('{"id": "a", "jsonrpc": "2.0", "params": {"id": 3, "x": "\\ud800"}}')
        named = raw.answer("a")  # type: ignore[arg-type]  # an id may be text
        fine = raw.call("run_cell", code="1 + 1")
        left = raw.close()

    assert half["error"]["code"] == deep["error"]["code"] == named["error"]["code"] == -32700
    for answer, reason in ((half, "hex escape"), (deep, "recursion limit")):
        message = answer["error"]["message"]
        assert message.startswith("the message cannot be read; nothing was done: Invalid JSON: ")
        assert reason in message
    assert '"result":"2"' in fine["result"]["content"][0]["text"]
    assert left == []


@promise("mcp.survives")
@pytest.mark.parametrize("moment", ["it has just begun", "its kernel starts", "a cell runs"])
def test_a_client_that_closes_its_end_at_any_moment_leaves_no_process(moment: str) -> None:
    with RawAgent("--new") as raw:
        server = psutil.Process(raw.process.pid)
        if moment != "it has just begun":
            raw.hello()
        if moment == "its kernel starts":
            raw.begin("tools/call", {"name": "run_cell", "arguments": {"code": "1"}})
        if moment == "a cell runs":
            raw.call("run_cell", code=_LONG, wait_s=0)
            raw.begin("tools/call", {"name": "run_status", "arguments": {"wait_s": 60}})
            assert server.children()

        assert raw.close() == []


@promise("mcp.survives")
def test_a_client_that_closes_its_end_waits_for_no_kernel_that_hangs_at_its_start() -> None:
    with RawAgent("--new", env={}) as raw:
        startup = raw.root / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True, exist_ok=True)
        (startup / "00.py").write_text("import time; time.sleep(60)", encoding="utf-8")
        raw.hello()
        raw.begin("tools/call", {"name": "run_cell", "arguments": {"code": "1"}})
        began_s = time.monotonic()

        assert raw.close() == []
        assert time.monotonic() - began_s < 20


@promise("mcp.survives")
def test_a_client_that_reads_nothing_and_closes_its_end_leaves_no_process() -> None:
    with RawAgent("--new") as raw:
        raw.hello()
        raw.call("run_cell", code="1")
        children = psutil.Process(raw.process.pid).children(recursive=True)
        raw.stop_reading()
        for _ in range(100):  # more than a pipe holds
            raw.begin("tools/list", {})
        raw.close_stdin()

        assert raw.process.wait(20) == 1
        assert psutil.wait_procs(children, 20)[1] == []


@promise("mcp.survives", "mcp.waits")
def test_of_a_hundred_calls_in_flight_those_that_are_given_up_end_and_no_others(
    agent: Agent,
) -> None:
    agent.run("ran = []")
    first = agent.begin("run_cell", code=_LONG)
    until(lambda: agent.call("run_status").said["busy"])
    calls = [agent.begin("run_cell", code=f"ran.append({n}); {n}") for n in range(100)]
    for call in calls[::5]:
        call.cancel()
    first.cancel()
    kept = [call for number, call in enumerate(calls) if number % 5]

    assert [call.result(30).said["result"] for call in kept] == [
        str(n) for n in range(100) if n % 5
    ]
    assert agent.run("len([n for n in ran if n % 5])")["result"] == "80"
    assert agent.call("run_status").said["busy"] is False


@promise("mcp.small", "mcp.survives")
def test_one_line_of_ten_megabytes_with_every_kind_of_bytes_is_answered_small(
    agent: Agent,
) -> None:
    answer = agent.call(
        "run_cell",
        code=r"s = '\x1b[31mred\x1b[0m\x00\x07\x9b1m\ud800\u202e'"
        "\nprint((s * 700_000)[:10_000_000])",
    )
    told = agent.call("run_status", run=answer.said["run"])
    page = agent.read(f"{answer.links[0]}?start=5000000&chars=1000")

    assert len(answer.text) <= 2400
    assert len(told.text) <= 2400
    assert answer.said["more"]["chars"] >= 10_000_000
    for text in (answer.said["out"], page):
        assert not set(text) & {"\x1b", "\x00", "\x07", "\x9b", "\u202e"}
        assert "red" in text


@promise("mcp.survives")
@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("task", {"action": "set", "values": {"a": "x" * 10_000_000}}, "values has 10000009"),
        (
            "task",
            {"action": "start", "name": "n", "steps": ["x" * 5000] * 500},
            "steps has 2502000",
        ),
        ("run_workflow", {"spec": {"name": "x" * 10_000_000}}, "spec has 100000"),
        ("run_workflow", {"file": "f", "variables": {"a": "x" * 200_000}}, "variables has 200009"),
        ("request_approval", {"message": "m", "payload": "x" * 10_000_000}, "payload has 1000000"),
        ("run_cell", {"code": "x" * 10_000_000}, "code has 10000000"),
    ],
)
def test_what_would_keep_the_kernel_busy_for_minutes_is_refused_at_once(
    agent: Agent, tool: str, arguments: dict[str, Any], named: str
) -> None:
    told = agent.call(tool, **arguments)

    assert told.said["err"]["type"] == "UsageError"
    assert told.said["err"]["msg"].startswith(named)


@promise("mcp.asks")
def test_two_servers_that_decide_at_once_make_one_decision(flow: Kernel) -> None:
    both: list[str] = []

    def answer(decision: str) -> Callable[[str], dict[str, Any]]:
        def decide(_message: str) -> dict[str, Any]:
            both.append(decision)
            until(lambda: len(both) == 2)
            return {"decision": decision}

        return decide

    with (
        Agent(home=flow.home, name="twin", elicits=answer("approve")) as one,
        Agent(home=flow.home, name="twin", elicits=answer("reject")) as two,
    ):
        calls = [each.begin("request_approval", message="both at once?") for each in (one, two)]
        told = [call.result(20).said for call in calls]

    asked = {record["approval_id"] for record in flow.logs.records("approval")}
    first = flow.logs.records("approval", approval_id=min(asked))
    decisions = [record["status"] for record in first if record["status"] != "open"]
    assert set(decisions) in ({"approved"}, {"rejected"})
    assert sum(each.get("ok") is True for each in told) == ("approved" in decisions)


@promise("mcp.beside")
def test_a_run_that_was_left_is_brought_back_and_cancelled_by_attaching_again(
    agent: Agent,
) -> None:
    own = str(agent.kernel_pid())
    begun = agent.run(_LONG, wait_s=0.3)
    with Kernel(home=agent.home) as other:
        other.ready()
        agent.call("kernel", action="attach", name=str(other.pid))
        left = agent.call("run_status", run=begun["run"], cancel=True).said
        agent.call("kernel", action="attach", name=own)
    back = agent.call("run_status", run=begun["run"]).said
    ended = agent.call("run_status", run=begun["run"], cancel=True, wait_s=20).said

    assert left["err"] == {
        "type": "KernelLeft",
        "msg": "the server has left this kernel; the cell runs on there, and attaching to it"
        " brings the run back",
    }
    assert (back["state"], back["run"]) == ("running", begun["run"])
    assert ended["err"]["type"] == "KeyboardInterrupt"
    assert agent.run("1")["ok"]


@promise("mcp.once")
def test_a_key_whose_record_is_too_far_back_runs_nothing_and_says_so() -> None:
    code = "counted = globals().get('counted', 0) + 1\ncounted"
    with Kernel() as kernel:
        home = kernel.ready().home
        with Agent(home=home) as first:
            first.run(code, idempotency_key="old")
        [log] = home.glob("log/*/*.jsonl")
        with log.open("ab") as file:
            file.write((b"x" * 65_535 + b"\n") * 144)
        with Agent(home=home) as second:
            told = second.call("run_cell", code=code, idempotency_key="old")

            assert told.is_error
            assert told.said["err"] == {
                "type": "UsageError",
                "msg": "this idempotency_key has run before, and its record is further back than is"
                " read (8 MiB); nothing was run",
                "hint": "look with get_history, or take another key",
            }
            assert second.run("counted")["result"] == "1"


@promise("mcp.once", "mcp.beside")
def test_the_same_key_of_another_agent_is_another_run(flow: Kernel) -> None:
    code = "keyed = globals().get('keyed', 0) + 1\nkeyed"
    with Agent(home=flow.home, name="one") as one, Agent(home=flow.home, name="two") as two:
        told = [each.run(code, idempotency_key="step 1")["result"] for each in (one, two, one)]

    assert told == ["1", "2", "1"]


@promise("mcp.waits")
def test_a_cell_that_ends_as_it_is_looked_at_is_answered_whole(agent: Agent) -> None:
    told = [agent.run(str(n), wait_s=0) for n in range(40)]

    assert [each for each in told if each.get("state") == "done"] == []
    assert {each["result"] for each in told if "result" in each} <= {str(n) for n in range(40)}


@promise("mcp.beside")
def test_a_kernel_of_another_home_is_attached_by_nobody(agent: Agent) -> None:
    with Kernel() as other:
        other.ready()
        lease = find_kernel(Home(other.home))
        for name in (str(other.pid), lease.session, lease.connection_file):
            told = agent.call("kernel", action="attach", name=name)

            assert told.said["err"]["type"] == "NotFound"
            assert str(agent.home) in told.said["err"]["msg"]
