"""Subshells: whoever is busy, requests reach their shell, and replies and output their request.

What is compared is each message of a request on IOPub, statuses as well, and its reply.
"""

from typing import Any, Final

import pytest

from tests.kernels import DEADLINE_S, Kernel
from tests.pairs import Pair
from tests.promises import promise
from tests.replies import quiet

_SHOWS_ALL: Final = (
    "import sys\nprint('text')\nprint('trouble', file=sys.stderr)\ndisplay('shown')\n"
    "print('more', end='', flush=True)\n1 + 1"
)
_GATE: Final = "import threading; go, begun = threading.Event(), threading.Event()"
_WAIT: Final = "print('before'); begun.set(); print(go.wait(15)); 'main'"
_STOPPED: Final = (
    "import threading; len([t for t in threading.enumerate() if 'subshell' in t.name])"
)


@promise("transparent.subshells")
def test_a_subshell_works_and_is_heard_while_the_main_shell_is_busy(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> dict[str, Any]:
        kernel.run(_GATE)
        main = kernel.send(_WAIT)
        kernel.wait_for_text("before")
        subshell = _made(kernel)
        first = kernel.collect(kernel.send(_SHOWS_ALL, subshell=subshell))
        failed = kernel.collect(kernel.send("print('half')\n1/0", subshell=subshell))
        listed = _control(kernel, "list_subshell_request")
        kernel.run("go.set()", subshell=subshell)
        ended = kernel.collect(main)
        return {
            "replies": [each.effects()["reply"] for each in (first, failed, ended)],
            "all": _told(kernel, first.msg_id),
            "failed": _told(kernel, failed.msg_id),
            "main": _told(kernel, main),
            "listed": listed["subshell_id"] == [subshell],
            "deleted": _control(kernel, "delete_subshell_request", subshell_id=subshell),
        }

    stock, flow = pair.both(seen)

    assert quiet(flow) == quiet(stock)
    assert flow["main"][2:5] == [["stdout", "before\nTrue\n"], ["execute_result", "'main'"], "idle"]
    assert flow["listed"] is True


@promise("transparent.subshells")
def test_each_of_four_shells_is_heard_under_its_own_request(pair: Pair) -> None:
    pair.forget()
    talk = (
        "for {0} in range(200):\n    print('{0}', {0})\n"
        "    if {0} % 50 == 0: display('{0}' + str({0}))\n"
        "together.wait(15); print('{0} ends')"
    )

    def seen(kernel: Kernel) -> list[Any]:
        kernel.run("import threading; together = threading.Barrier(4)")
        shells = [None, *(_made(kernel) for _ in range(3))]
        sent = [
            kernel.send(talk.format(name), subshell=shell)
            for name, shell in zip("abcd", shells, strict=True)
        ]
        replies = [kernel.collect(msg_id).status for msg_id in sent]
        for shell in shells[1:]:
            _control(kernel, "delete_subshell_request", subshell_id=shell)
        return [replies, [_told(kernel, msg_id) for msg_id in sent]]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[0] == ["ok"] * 4


@promise("transparent.subshells")
def test_requests_to_several_shells_are_answered_in_their_order(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        kernel.run("done = {'main': [], 'a': [], 'b': []}")
        shells = {"main": None, "a": _made(kernel), "b": _made(kernel)}
        # Results would do no good: in ipykernel all shells share the message that holds one.
        sent = [
            kernel.send(f"done['{name}'].append({turn}); print('{name}', {turn})", subshell=shell)
            for turn in range(40)
            for name, shell in shells.items()
        ]
        replies = [kernel.collect(msg_id).status for msg_id in sent]
        told = [_told(kernel, msg_id) for msg_id in sent]
        for shell in ("a", "b"):
            _control(kernel, "delete_subshell_request", subshell_id=shells[shell])
        return [replies, told, kernel.run("print(done)").stdout]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[2] == f"{ {name: list(range(40)) for name in ('main', 'a', 'b')} }\n"


@promise("transparent.subshells")
def test_cells_of_several_shells_that_end_at_once_show_their_own_results(flow: Kernel) -> None:
    flow.run("import threading; at_once = threading.Barrier(3)")
    shells = [None, _made(flow), _made(flow)]

    for turn in range(40):
        sent = [
            flow.send(f"_w = at_once.wait(15); 'cell {turn} {number}'", subshell=shell)
            for number, shell in enumerate(shells)
        ]
        ran = [flow.collect(msg_id) for msg_id in sent]

        assert [each.result for each in ran] == [f"'cell {turn} {n}'" for n in range(3)]
        assert [each.status for each in ran] == ["ok"] * 3
    for shell in shells[1:]:
        _control(flow, "delete_subshell_request", subshell_id=shell)


@promise("transparent.subshells")
def test_a_shell_that_waits_holds_up_no_question_to_another(pair: Pair) -> None:
    pair.forget()
    code = "known.bit_l"
    asked = {"code": code, "cursor_pos": len(code)}

    def seen(kernel: Kernel) -> list[Any]:
        kernel.run(_GATE + "; known = 5")
        subshell = _made(kernel)
        main = kernel.send(_WAIT)
        kernel.wait_for_text("before")
        answers = [
            kernel.ask("complete_request", asked, subshell=subshell)["matches"],
            kernel.ask("inspect_request", asked | {"cursor_pos": 3}, subshell=subshell)["found"],
            kernel.ask("is_complete_request", {"code": "if x:"}, subshell=subshell),
            kernel.ask("kernel_info_request", {}, subshell=subshell)["status"],
            kernel.ask("comm_info_request", {}, subshell=subshell),
            kernel.run(
                "input('who? ') + '!'", subshell=subshell, allow_stdin=True, answers=["me"]
            ).result,
        ]
        kernel.run("go.set()", subshell=subshell)
        answers.append(kernel.collect(main).result)
        _control(kernel, "delete_subshell_request", subshell_id=subshell)
        return answers

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[-2:] == ["'me!'", "'main'"]


@promise("transparent.subshells")
@pytest.mark.parametrize("fails", ["main", "subshell"])
def test_an_error_aborts_what_waits_in_its_own_shell_only(pair: Pair, fails: str) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        kernel.run(_GATE)
        subshell = _made(kernel)
        here, there = (None, subshell) if fails == "main" else (subshell, None)
        failing = kernel.send("begun.set(); go.wait(15); 1/0", subshell=here)
        queued = [kernel.send("print('never')", subshell=here) for _ in range(3)]
        other = kernel.send("begun.wait(15); go.set(); print('runs')", subshell=there)
        second = kernel.send("print('as well')", subshell=there)
        ran = [kernel.collect(each) for each in (failing, *queued, other, second)]
        after = kernel.run("'goes on'", subshell=here).result
        _control(kernel, "delete_subshell_request", subshell_id=subshell)
        return [
            [each.status for each in ran],
            [[m for m in _told(kernel, each.msg_id) if isinstance(m, str)] for each in ran],
            ran[-2].stdout + ran[-1].stdout,
            after,
        ]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[0] == ["error", "aborted", "aborted", "aborted", "ok", "ok"]


@promise("transparent.subshells")
def test_an_interrupt_stops_the_main_shell_and_no_subshell(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        kernel.run(_GATE)
        subshell = _made(kernel)
        other = kernel.send("begun.set(); print(go.wait(15)); 'whole'", subshell=subshell)
        spin = "begun.wait(15); open('begun', 'w').close()\nwhile True: go.wait(0.001)"
        stopped = kernel.interrupted(spin)
        kernel.run("go.set()")
        ended = kernel.collect(other)
        _control(kernel, "delete_subshell_request", subshell_id=subshell)
        return [stopped.status, stopped.reply["ename"], ended.stdout, ended.result]

    stock, flow = pair.both(seen)

    assert flow == stock == ["error", "KeyboardInterrupt", "True\n", "'whole'"]


@promise("transparent.subshells")
def test_a_deleted_subshell_is_gone_and_says_so(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        gone, stays = _made(kernel), _made(kernel)
        kernel.run("print('last words')", subshell=gone)
        deleted = _control(kernel, "delete_subshell_request", subshell_id=gone)
        again = _control(kernel, "delete_subshell_request", subshell_id=gone)
        late = kernel.collect(kernel.send("print('never')", subshell=gone))
        info = kernel.ask("kernel_info_request", {}, subshell="none-such")
        left = _control(kernel, "list_subshell_request")["subshell_id"] == [stays]
        works = kernel.run("'works'", subshell=stays).result
        _control(kernel, "delete_subshell_request", subshell_id=stays)
        words = [late.reply["ename"], _told(kernel, late.msg_id), info["ename"]]
        return [
            *(deleted, again["status"], gone in again["evalue"], *words, left, works),
            kernel.run(_STOPPED).result,
        ]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[3:] == [
        *("UnknownSubshellError", ["busy", "idle"], "UnknownSubshellError", True, "'works'", "0")
    ]


@promise("transparent.subshells")
def test_subshells_come_and_go_forty_times_beside_a_busy_cell(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        kernel.run(_GATE)
        main = kernel.send(_WAIT)
        kernel.wait_for_text("before")
        told = []
        for turn in range(40):
            subshell = _made(kernel)
            ran = kernel.run(f"print({turn}); {turn}", subshell=subshell)
            told.append([ran.result, _told(kernel, ran.msg_id)])
            _control(kernel, "delete_subshell_request", subshell_id=subshell)
        last = _made(kernel)
        kernel.run("go.set()", subshell=last)
        ended = kernel.collect(main).result
        _control(kernel, "delete_subshell_request", subshell_id=last)
        return [told, ended, kernel.run(_STOPPED).result]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[1:] == ["'main'", "0"]


@promise("transparent.subshells")
def test_two_front_ends_get_their_own_replies(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        kernel.run("1")
        subshell = _made(kernel)
        other = kernel.manager.connect_shell(identity=b"somebody else")
        try:
            mine, theirs = [], []
            for turn in range(40):
                shell = subshell if turn % 3 == 0 else None
                mine.append(kernel.send(f"print('mine', {turn})", subshell=shell))
                message = kernel.session.msg("kernel_info_request", {})
                if shell is not None:
                    message["header"]["subshell_id"] = shell
                kernel.session.send(other, message)
                theirs.append(message["header"]["msg_id"])
            printed = [kernel.collect(msg_id).stdout for msg_id in mine]
            answered = []
            while len(answered) < len(theirs) and other.poll(DEADLINE_S * 1000):
                answered.append(kernel.session.recv(other, 0)[1]["parent_header"]["msg_id"])
        finally:
            other.close(0)
        _control(kernel, "delete_subshell_request", subshell_id=subshell)
        return [printed, sorted(map(theirs.index, answered))]

    stock, flow = pair.both(seen)

    assert flow == stock == [[f"mine {turn}\n" for turn in range(40)], list(range(40))]


@promise("transparent.subshells")
def test_a_kernel_with_subshells_ends_in_order(fresh_pair: Pair) -> None:
    def seen(kernel: Kernel) -> list[Any]:
        for _ in range(3):
            kernel.run("import atexit; x = 1", subshell=_made(kernel))
        kernel.run("_f = atexit.register(lambda: open('said', 'w').write('bye'))")
        kernel.shutdown()
        return [kernel.process.returncode, (kernel.cwd / "said").read_text(encoding="utf-8")]

    assert fresh_pair.both(seen) == ([0, "bye"], [0, "bye"])


def _made(kernel: Kernel) -> str:
    return str(_control(kernel, "create_subshell_request")["subshell_id"])


def _control(kernel: Kernel, kind: str, **content: object) -> dict[str, Any]:
    return kernel.ask(kind, content, channel="control")


def _told(kernel: Kernel, msg_id: str) -> list[Any]:
    """What was said on IOPub for one request; text of one stream between two others is joined."""
    told: list[Any] = []
    for message in kernel.heard:
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "status":
            told.append(content["execution_state"])
        elif kind == "execute_input":
            told.append([kind, content["code"]])  # all shells share one counter
        elif kind != "stream":
            told.append([kind, content.get("data", content)])
            if "text/plain" in content.get("data", {}):
                told[-1][1] = content["data"]["text/plain"]
        elif told[-1][0] == content["name"]:
            told[-1][1] += content["text"]
        else:
            told.append([content["name"], content["text"]])
    return told
