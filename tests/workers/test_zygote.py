"""A zygote leaves nothing of its workers, in whatever moment its owner dies."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.workers.trees import Program, all_gone, new_tag, until

_OWNER = """
import socket, types
from pathlib import Path
from flow_kernel.workers import wire
from flow_kernel.workers.zygote import Zygote, be_woken_by

TAG, MANY, DIRECTORY = {tag!r}, {many}, {directory!r}
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
owner = os.getpid()

def work(argv, kept):
    tell(os.getpid())
    for _ in range(MANY):
        fork(lambda: apart(report))
    rest()

class Small(Zygote):
    module = "small"
    standard = ()

def zygote():
    sys.modules["small"] = types.SimpleNamespace(run=work, prepare=lambda: None)
    ours.close()
    sweep.become_subreaper()
    sweep.die_with_parent(signal.SIGTERM, owner)
    be_woken_by(theirs)
    Small(theirs, Path(DIRECTORY)).run()

fork(zygote)
theirs.close()
assert wire.receive(ours)[0]["op"] == "ready"
env = dict(os.environ, FLOW_WORKER_TAG=TAG)
order = dict(op="fork", id="1", argv=[], env=env, cwd="/", path=sys.path)
wire.send(ours, order, [1, 2])
wire.receive(ours)
rest()
"""
_MANY = 60
_SOAK = [pytest.param(count, marks=pytest.mark.soak) for count in (0, *range(2, _MANY + 1))]


def _goes_on(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("count", [1, *_SOAK])
def test_an_owner_that_dies_while_its_zygote_kills_what_a_worker_left_leaves_nothing_stopped(
    tmp_path: Path, count: int
) -> None:
    tag = new_tag()
    code = _OWNER.format(tag=tag, many=_MANY, directory=str(tmp_path / "sockets"))
    with Program(code, tag=new_tag()) as program:
        program.also_ends(tag)
        worker, left = program.number(), program.numbers(_MANY)

        os.kill(worker, signal.SIGKILL)
        until(lambda: sum(not _goes_on(pid) for pid in left) >= count)
        program.kill()

        until(lambda: all_gone(worker, *left))
