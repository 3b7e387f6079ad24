"""Comms go both ways in the main shell and in subshells, whoever is busy, as in stock ipykernel."""

from typing import Any, Final

import pytest

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.promises import promise

_TARGET: Final = """
import comm, threading
go, begun = threading.Event(), threading.Event()
seen, opened = [], []

def where():
    manager = get_ipython().kernel.shell_channel_thread.manager
    return 'main' if manager.subshell_id_from_thread_id(threading.get_ident()) is None else 'sub'

def said(message):
    buffers = [bytes(each) for each in message['buffers']]
    print('heard', message['content']['data'], where(), flush=True)
    opened[-1].send({'echo': message['content']['data'], 'in': where()}, buffers=buffers[::-1])

def target(opening, message):
    opened.append(opening)
    opening.on_msg(said)
    opening.on_close(lambda message: print('closed', where()))
    opening.send({'opened': message['content']['data'], 'in': where()})

get_ipython().kernel.comm_manager.register_target('t', target)
"""
_WAIT: Final = "print('before'); begun.set(); print(go.wait(15)); 'main'"


@promise("transparent.subshells")
@pytest.mark.parametrize("shell", ["main", "subshell"])
def test_a_comm_of_the_front_end_is_heard_and_answers(pair: Pair, shell: str) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        subshell = _begun(kernel)
        where = subshell if shell == "subshell" else None
        main = kernel.send(_WAIT) if shell == "subshell" else None
        if main:
            kernel.wait_for_text("before")
        sent = [
            _comm(kernel, "comm_open", where, target_name="t", data={"n": 1}),
            *(_comm(kernel, "comm_msg", where, data={"n": n}) for n in range(2, 40)),
            _comm(kernel, "comm_close", where, data={}),
        ]
        told = [_told(kernel, msg_id) for msg_id in sent]
        kernel.run("go.set()", subshell=where)
        ended = kernel.collect(main).result if main else None
        _delete(kernel, subshell)
        return [told, ended]

    stock, flow = pair.both(seen)

    assert flow == stock
    place = "main" if shell == "main" else "sub"
    assert flow[0][5] == [
        *("busy", ["stdout", f"heard {{'n': 6}} {place}\n"]),
        *(["comm_msg", {"echo": {"n": 6}, "in": place}], "idle"),
    ]


@promise("transparent.subshells")
@pytest.mark.parametrize("shell", ["main", "subshell"])
def test_a_comm_of_the_kernel_is_answered_in_the_shell_that_spoke_last(
    pair: Pair, shell: str
) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> list[Any]:
        subshell = _begun(kernel)
        where = subshell if shell == "subshell" else None
        made = kernel.run(
            "own = comm.create_comm(target_name='front', comm_id='c', data={'v': 1})\n"
            "opened.append(own); own.on_msg(said); own.send({'v': 2})",
            subshell=where,
        )
        main = kernel.send(_WAIT) if shell == "subshell" else None
        if main:
            kernel.wait_for_text("before")
        told = [
            [[m["msg_type"], m["content"]["data"]] for m in made.messages],
            _told(kernel, _comm(kernel, "comm_msg", None, data={"n": 1})),
        ]
        kernel.run("go.set()", subshell=subshell)
        if main:
            kernel.collect(main)
        spoke = kernel.run("own.send({'v': 3})")
        told.append(_told(kernel, _comm(kernel, "comm_msg", subshell, data={"n": 2})))
        closed = kernel.run("own.close()")
        _delete(kernel, subshell)
        return [told, [m["msg_type"] for m in spoke.messages + closed.messages]]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert [m[1]["in"] for told in flow[0][1:] for m in told if m[0] == "comm_msg"] == [
        *("main" if shell == "main" else "sub", "main"),
    ]


@promise("transparent.subshells")
def test_a_cell_that_awaits_hears_its_comm(pair: Pair) -> None:
    pair.forget()
    code = (
        "import asyncio\nheard = asyncio.get_running_loop().create_future()\n"
        "opened[-1].on_msg(lambda m: (print('in the handler'), heard.set_result(m['content'])))\n"
        "print('waits', flush=True)\nprint((await heard)['data'])\nprint('goes on')"
    )

    def seen(kernel: Kernel) -> list[Any]:
        subshell = _begun(kernel)
        _told(kernel, _comm(kernel, "comm_open", None, target_name="t", data={}))
        cell = kernel.send(code)
        kernel.wait_for_text("waits")
        sent = _comm(kernel, "comm_msg", None, data={"n": 7})
        told = _told(kernel, sent, ends="in the handler\n")
        ran = kernel.collect(cell)
        _comm(kernel, "comm_close", None, data={})
        _delete(kernel, subshell)
        return [told, _told(kernel, cell), ran.status]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[1][-2:] == [["stdout", "waits\n{'n': 7}\ngoes on\n"], "idle"]


@promise("transparent.subshells")
@pytest.mark.parametrize("shell", ["main", "subshell"])
def test_binary_buffers_go_both_ways_whole(pair: Pair, shell: str) -> None:
    pair.forget()
    buffers = [bytes(range(256)) * 4096, b"", b"small"]

    def seen(kernel: Kernel) -> list[Any]:
        subshell = _begun(kernel)
        where = subshell if shell == "subshell" else None
        _told(kernel, _comm(kernel, "comm_open", where, target_name="t", data={}))
        told = [
            _told(kernel, _comm(kernel, "comm_msg", where, buffers, data={"n": n}))
            for n in range(5)
        ]
        _told(kernel, _comm(kernel, "comm_close", where, data={}))
        _delete(kernel, subshell)
        echoes = [m for m in kernel.heard if "echo" in m["content"].get("data", {})]
        return [told, [[bytes(each) for each in m["buffers"]] for m in echoes[-5:]]]

    stock, flow = pair.both(seen)

    assert flow == stock
    assert flow[1] == [buffers[::-1]] * 5


def _begun(kernel: Kernel) -> str:
    kernel.run(_TARGET)
    return str(kernel.ask("create_subshell_request", {}, channel="control")["subshell_id"])


def _delete(kernel: Kernel, subshell: str) -> None:
    kernel.ask("delete_subshell_request", {"subshell_id": subshell}, channel="control")


def _comm(
    kernel: Kernel,
    kind: str,
    subshell: str | None,
    buffers: list[bytes] | None = None,
    **content: object,
) -> str:
    message = kernel.session.msg(kind, {"comm_id": "c", **content})
    if subshell is not None:
        message["header"]["subshell_id"] = subshell
    kernel.session.send(kernel.sockets["shell"], message, buffers=buffers)
    return str(message["header"]["msg_id"])


def _told(kernel: Kernel, msg_id: str, ends: str = "idle") -> list[Any]:
    """What was said on IOPub for one message, up to its idle status or to a text."""

    def told() -> list[Any]:
        """Text in one piece, in however many it has come."""
        joined: list[Any] = []
        for message in kernel.heard:
            is_mine = message["parent_header"].get("msg_id") == msg_id
            if not is_mine or message["msg_type"] == "execute_input":
                continue
            each = _brief(message)
            if joined and each[0] == joined[-1][0] == "stdout":
                joined[-1] = ["stdout", joined[-1][1] + each[1]]
            else:
                joined.append(each)
        return joined

    kernel.wait(lambda: any(ends in (each, each[1]) for each in told()))
    return told()


def _brief(message: dict[str, Any]) -> Any:
    kind, content = message["msg_type"], message["content"]
    if kind == "status":
        return content["execution_state"]
    if kind == "stream":
        return [content["name"], content["text"]]
    return [kind, content["data"]]
