"""The debugger: absent until a client asks for it, then that of ipykernel."""

import time
from pathlib import Path
from typing import Any, Final

from tests.kernels import DEADLINE_S, Kernel
from tests.pairs import Pair
from tests.promises import promise

_LOADED: Final = "import sys; print('debugpy' in sys.modules)"
_CELL: Final = "def double(x):\n    y = 2 * x\n    return y\n\ndouble(21)"


@promise("debugger.deferred")
def test_a_kernel_offers_its_debugger_without_loading_it(fresh_pair: Pair) -> None:
    flow = fresh_pair.flow

    stock_info, flow_info = fresh_pair.both(lambda k: k.ask("kernel_info_request", {}))

    assert flow_info["supported_features"] == stock_info["supported_features"]
    assert "debugger" in flow_info["supported_features"]
    assert flow.run(_LOADED).stdout == "False\n"
    _ask(flow, "debugInfo")
    assert flow.run(_LOADED).stdout == "True\n"


@promise("debugger.deferred")
def test_a_cell_stops_at_a_breakpoint_and_goes_on(fresh_pair: Pair) -> None:
    stock, flow = fresh_pair.both(_stop_at_a_breakpoint)

    assert flow == stock
    assert flow["stopped"] == "breakpoint"
    assert flow["variables"] == {"x": "21"}
    assert flow["result"] == "42"


@promise("debugger.deferred")
def test_a_stopped_cell_is_heard_stepped_through_and_goes_on(fresh_pair: Pair) -> None:
    stock, flow = fresh_pair.both(_step_through_a_cell)

    assert flow == stock
    assert flow["lines"] == [["breakpoint", 3], ["step", 4], ["step", 5], ["breakpoint", 4]]
    assert flow["heard"] == [
        ["before 1", "error 1"],
        ["before 1", "after 1", "before 2", "error 1", "error 2"],
    ]
    assert flow["evaluated"] == "'evaluated 1'"
    assert flow["after"] == ["before 1\nafter 1\nbefore 2\nafter 2\n", "'done'"]
    assert flow["next"] == ["'next'", "before 3\nafter 3\n"]


@promise("debugger.deferred")
def test_a_call_of_breakpoint_does_what_it_does_in_stock_ipykernel(fresh_pair: Pair) -> None:
    first, second = fresh_pair.both(lambda k: [k.run("breakpoint()\nprint('on')") for _ in "12"])

    assert [r.effects() for r in second] == [r.effects() for r in first]
    assert second[0].stdout == "on\n"


@promise("debugger.deferred")
def test_what_the_debugger_loads_is_no_import_of_a_running_cell(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Kernel() as kernel:
        running = kernel.send(
            f"import os, time\nprint('on')\nwhile not os.path.exists({str(gate)!r}):\n"
            "    time.sleep(0.01)\nimport colorsys"
        )
        kernel.wait_for_text("on")
        _ask(kernel, "debugInfo")
        gate.touch()
        cell = kernel.collect(running)

    imports = cell.metadata["flow"]["added_imports"]
    assert "colorsys" in imports
    assert [name for name in imports if name.startswith(("debugpy", "pydev", "_pydev"))] == []


@promise("debugger.deferred")
def test_a_library_that_looks_for_the_debugger_finds_that_of_ipykernel() -> None:
    with Kernel() as kernel:
        found = kernel.run(
            "from ipykernel.debugger import Debugger, _is_debugpy_available\n"
            "import ipykernel.debugger\n"
            "print(Debugger.__module__, _is_debugpy_available,"
            " ipykernel.debugger.Debugger is Debugger,"
            " get_ipython().kernel.debugger.is_started)"
        )
        info = _ask(kernel, "debugInfo")

    assert found.stdout == "ipykernel.debugger True True False\n"
    assert info["success"] is True


def _stop_at_a_breakpoint(kernel: Kernel) -> dict[str, Any]:
    _ask(kernel, "initialize", clientID="t", clientName="t", adapterID="", linesStartAt1=True)
    _ask(kernel, "attach")
    source = _ask(kernel, "dumpCell", code=_CELL)["body"]["sourcePath"]
    _ask(kernel, "setBreakpoints", source={"path": source}, breakpoints=[{"line": 2}])
    _ask(kernel, "configurationDone")
    running = kernel.send(_CELL)
    stopped = _event(kernel, "stopped")
    thread = stopped["body"]["threadId"]
    frame = _ask(kernel, "stackTrace", threadId=thread)["body"]["stackFrames"][0]
    scope = _ask(kernel, "scopes", frameId=frame["id"])["body"]["scopes"][0]
    found = _ask(kernel, "variables", variablesReference=scope["variablesReference"])
    _ask(kernel, "continue", threadId=thread)
    cell = kernel.collect(running)
    return {
        "stopped": stopped["body"]["reason"],
        "line": frame["line"],
        "variables": {v["name"]: v["value"] for v in found["body"]["variables"]},
        "result": cell.result,
    }


_STEPS: Final = """import sys
def show(n):
    print('before', n); print('error', n, file=sys.stderr)
    twice = 2 * n
    print('after', n)
show(1); show(2); 'done'"""


def _step_through_a_cell(kernel: Kernel) -> dict[str, Any]:
    _ask(kernel, "initialize", clientID="t", clientName="t", adapterID="", linesStartAt1=True)
    _ask(kernel, "attach")
    source = _ask(kernel, "dumpCell", code=_STEPS)["body"]["sourcePath"]
    _ask(kernel, "setBreakpoints", source={"path": source}, breakpoints=[{"line": 3}])
    _ask(kernel, "configurationDone")
    running = kernel.send(_STEPS)
    lines, heard = [], []

    def stop(number: int) -> int:
        events = _events(kernel, "stopped", number)
        thread = int(events[-1]["body"]["threadId"])
        frame = _ask(kernel, "stackTrace", threadId=thread)["body"]["stackFrames"][0]
        lines.append([events[-1]["body"]["reason"], frame["line"]])
        return int(frame["id"]) if number == 2 else thread

    def listen(number: int) -> None:
        kernel.wait_for_text(f"before {number}\n")
        kernel.wait_for_text(f"error {number}\n", "stderr")
        # debugpy has warnings of its own.
        errors = [line for line in kernel.stream("stderr").splitlines() if line[:5] == "error"]
        heard.append(kernel.stream("stdout").splitlines() + errors)

    thread = stop(1)
    _ask(kernel, "next", threadId=thread)
    evaluated = _ask(
        kernel, "evaluate", expression="f'evaluated {n}'", frameId=stop(2), context="repl"
    )["body"]["result"]
    listen(1)
    _ask(kernel, "next", threadId=thread)
    stop(3)
    _ask(kernel, "setBreakpoints", source={"path": source}, breakpoints=[{"line": 4}])
    _ask(kernel, "continue", threadId=thread)
    stop(4)
    listen(2)
    _ask(kernel, "continue", threadId=thread)
    cell = kernel.collect(running)
    _ask(kernel, "disconnect", restart=False, terminateDebuggee=False)
    after = kernel.run("show(3); 'next'")
    return {
        "lines": lines,
        "heard": heard,
        "evaluated": evaluated,
        "after": [cell.stdout, cell.result],
        "next": [after.result, after.stdout],
    }


def _ask(kernel: Kernel, command: str, **arguments: object) -> dict[str, Any]:
    request = {"type": "request", "command": command, "seq": 1, "arguments": arguments}
    return kernel.ask("debug_request", request, channel="control")


def _event(kernel: Kernel, name: str) -> dict[str, Any]:
    return _events(kernel, name, 1)[0]


def _events(kernel: Kernel, name: str, count: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        events = [m["content"] for m in kernel.iopub if m["msg_type"] == "debug_event"]
        return [event for event in events if event["event"] == name]

    deadline = time.monotonic() + DEADLINE_S
    while len(found()) < count and time.monotonic() < deadline:
        kernel.pump(0.5)
    return found()
