"""Requests other than plain cells are answered as stock ipykernel answers them."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests import gates
from tests.kernels import Kernel
from tests.pairs import Pair
from tests.promises import promise
from tests.replies import quiet

STDIN: Final[dict[str, tuple[str, list[str]]]] = {
    "input": ("a = input('first? '); b = input(); print(a + b)", ["one", "two"]),
    "getpass": ("import getpass; p = getpass.getpass('secret? '); print(len(p))", ["hidden"]),
    "a_debugger_after_an_error": ("%debug", ["p 1 + 1", "q"]),
    "a_breakpoint": ("z = 1\nbreakpoint()\nprint('on')", ["p z", "c"]),
    "lines_of_stdin": ("import sys; sys.stdin.readline()", []),
}


@promise("transparent.protocol")
@pytest.mark.parametrize("name", STDIN)
def test_a_cell_that_asks_gets_the_answer(pair: Pair, name: str) -> None:
    pair.forget()
    code, answers = STDIN[name]
    pair.run("1/0")

    stock, flow = pair.both(lambda k: k.run(code, allow_stdin=True, answers=answers).effects())

    assert flow == stock


@promise("transparent.protocol")
def test_a_cell_that_asks_where_nobody_answers_fails_alike(pair: Pair) -> None:
    pair.forget()

    stock, flow = pair.both(lambda k: k.run("input('?')", allow_stdin=False).effects())

    assert flow == stock
    assert flow["reply"]["ename"] == "StdinNotImplementedError"


def _kernel_info(kernel: Kernel) -> Any:
    info = kernel.ask("kernel_info_request", {})
    info["banner"] = info["banner"].split("Tip")[0]
    return info


def _complete(kernel: Kernel) -> Any:
    kernel.run("alpha_one = 1; alpha_two = 2")
    replies = [
        kernel.ask("complete_request", {"code": code, "cursor_pos": len(code)})
        for code in ("alpha_", "alpha_one.bit_l", "%matplo", "import jso", "'text'.upp")
    ]
    # The metadata hold types that are looked for within a time limit.
    return [(r["status"], r["matches"], r["cursor_start"], r["cursor_end"]) for r in replies]


def _history(kernel: Kernel) -> Any:
    kernel.run("first = 1")
    kernel.run("first + 1")
    asked = {
        "raw": True,
        "output": True,
        "hist_access_type": "range",
        "session": 0,
        "start": 1,
        "stop": 9,
    }
    return [
        (line, code, out)
        for _, line, (code, out) in kernel.ask("history_request", asked)["history"]
    ]


def _stopped_on_error(kernel: Kernel) -> Any:
    sent = [
        kernel.send(gates.closed(kernel) + "1/0"),
        kernel.send("print(1)"),
        kernel.send("2"),
    ]
    gates.open_behind_all(kernel)
    return [kernel.collect(msg_id).effects() for msg_id in sent] + [kernel.run("'after'").effects()]


def _not_stopped_on_error(kernel: Kernel) -> Any:
    sent = [kernel.send("1/0", stop_on_error=False), kernel.send("print('goes on')")]
    return [kernel.collect(msg_id).effects() for msg_id in sent]


def _expressions(kernel: Kernel) -> Any:
    asked = {"good": "x + 1", "bad": "1/0", "none": "None", "shown": "R()"}
    code = "x = 1\nclass R:\n    def _repr_html_(self): return '<b>'"
    return kernel.run(code, user_expressions=asked).effects()


def _silent(kernel: Kernel) -> Any:
    runs = [
        kernel.run("s = 1; print('seen'); s", silent=True),
        kernel.run("t = 1; t", store_history=False),
        kernel.run("1/0", silent=True),
        kernel.run("s + t"),
    ]
    return [run.effects() for run in runs]


def _comms(kernel: Kernel) -> Any:
    kernel.run(
        "from comm import get_comm_manager\nimport comm\n"
        "def target(c, m):\n"
        "    c.on_msg(lambda m: c.send({'echo': m['content']['data']}))\n"
        "    c.send({'opened': m['content']['data']})\n"
        "get_ipython().kernel.comm_manager.register_target('t', target)"
    )
    kernel.iopub.clear()
    kernel.request("comm_open", {"comm_id": "c1", "target_name": "t", "data": {"n": 1}})
    kernel.request("comm_msg", {"comm_id": "c1", "data": {"n": 2}})
    kernel.wait(lambda: len([m for m in kernel.iopub if m["msg_type"] == "comm_msg"]) == 2)
    listed = kernel.ask("comm_info_request", {"target_name": "t"})
    kernel.request("comm_close", {"comm_id": "c1", "data": {}})
    own = kernel.run(
        "own = comm.create_comm(target_name='front', data={'v': 1})\n"
        "own.send({'v': 2}); own.close()"
    )
    return [
        [
            (m["msg_type"], m["content"]["data"])
            for m in kernel.iopub
            if m["msg_type"].startswith("comm")
        ],
        listed,
        own.status,
        kernel.ask("comm_info_request", {})["comms"],
    ]


def _subshells(kernel: Kernel) -> Any:
    made = kernel.ask("create_subshell_request", {}, channel="control")
    subshell = made["subshell_id"]
    kernel.run("import threading; go = threading.Event()")
    main = kernel.send("print('waits', go.wait(10))")
    other = kernel.send("n = 5; print('from the subshell'); go.set(); n", subshell=subshell)
    results = [kernel.collect(other).effects(), kernel.collect(main).effects()]
    count = len(kernel.ask("list_subshell_request", {}, channel="control")["subshell_id"])
    gone = kernel.ask("delete_subshell_request", {"subshell_id": subshell}, channel="control")
    return [
        [(r["stdout"], r["reply"]["status"]) for r in results],
        count,
        gone,
        kernel.run("n").result,
    ]


def _debugger(kernel: Kernel) -> Any:
    opened = kernel.ask(
        "debug_request",
        {
            "type": "request",
            "command": "initialize",
            "seq": 1,
            "arguments": {
                "clientID": "t",
                "clientName": "t",
                "adapterID": "",
                "linesStartAt1": True,
            },
        },
        channel="control",
    )
    info = kernel.ask(
        "debug_request", {"type": "request", "command": "debugInfo", "seq": 2}, channel="control"
    )
    body = {k: v for k, v in info["body"].items() if k not in ("hashSeed", "tmpFilePrefix")}
    return [opened["success"], sorted(opened.get("body", {})), body]


REQUESTS: Final[dict[str, Callable[[Kernel], Any]]] = {
    "kernel_info": _kernel_info,
    "is_complete": lambda k: [
        k.ask("is_complete_request", {"code": code})
        for code in ("1", "if x:", "def f():\n  1", "1 +", "(", "%m")
    ],
    "complete": _complete,
    "inspect": lambda k: [
        k.run("def known(a: int) -> str:\n    'What it does.'").status,
        *(
            k.ask("inspect_request", {"code": code, "cursor_pos": len(code), "detail_level": level})
            for code in ("known", "unknown", "len")
            for level in (0, 1)
        ),
    ],
    "history": _history,
    "stop_on_error": _stopped_on_error,
    "go_on_after_an_error": _not_stopped_on_error,
    "user_expressions": _expressions,
    "silent_and_hidden": _silent,
    "comms": _comms,
    "subshells": _subshells,
    "debugger": _debugger,
    "metadata_of_notebooks": lambda k: [
        k.run("print('lab')", cell_id="abc-1", metadata={"tags": ["t"], "trusted": True}).effects(),
        k.run(
            "print('code')", metadata={"cellId": "vscode-notebook-cell:/a.ipynb#W0sZmlsZQ%3D%3D"}
        ).effects(),
        k.run("print('odd')", metadata={"cellId": 5, "flow": [1], "tags": None}).effects(),
    ],
    "order_of_messages": lambda k: [
        m["msg_type"]
        for m in k.run("print(1)\ndisplay(2)\nprint(3)\n4").messages
        if m["msg_type"] != "stream"
    ],
    "a_cell_of_2000_lines": lambda k: k.run(
        "\n".join(f"v{i} = {i}" for i in range(2000)) + "\nv1999"
    ).effects(),
}


@promise("transparent.protocol")
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_answered_as_by_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.both(REQUESTS[name])

    assert quiet(flow) == quiet(stock)


@promise("transparent.protocol")
def test_a_hundred_requests_in_flight_are_all_answered_in_order(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[str]:
        sent = [kernel.send(f"{i}") for i in range(100)]
        return [kernel.collect(msg_id).result or "" for msg_id in sent]

    stock, flow = pair.both(seen)

    assert flow == stock == [str(i) for i in range(100)]
