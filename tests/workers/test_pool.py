"""The pool: who gets which worker, and what is left of those that did not start."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.session import Session

from flow_kernel.errors import IsolationUnavailable, NotFound
from flow_kernel.settings import PoolSettings
from flow_kernel.workers import pool as pool_module
from flow_kernel.workers import starter, sweep, zygote_client
from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.job import Done, Job
from flow_kernel.workers.messages import Message, read, reader
from flow_kernel.workers.pool import Pool
from flow_kernel.workers.processes import Ended, ProgramProcess
from flow_kernel.workers.worker import Worker
from tests.environments import environment
from tests.workers.trees import strike, until

SPAWN = PoolSettings(provisioner="local-provisioner", spares=0)
FORK = PoolSettings(spares=0)
BROKEN = "import sys\nif sys.argv[0] == '-m': sys.exit('no worker today')\n"
KEY = b"the key of the session"


class Heard:
    """What workers say."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.changes: list[tuple[str, str, str]] = []
        self.backlog = Backlog()

    def publish(self, worker_id: str, message: Message) -> None:
        self.messages.append(message)

    def has_target(self, worker_id: str, target: str) -> None: ...

    def died(self, worker_id: str) -> None:
        pass

    def idle(self, worker_id: str, parent: Any) -> None:
        pass

    def text(self, worker_id: str, parent: Mapping[str, Any], name: str, data: bytes) -> None:
        pass

    def changed(self, worker: Worker, reason: str) -> None:
        self.changes.append((worker.worker_id, str(worker.state), reason))


MakePool = Callable[..., Pool]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakePool]:
    """Makes pools, and ends them."""
    made: list[Pool] = []

    def make(settings: PoolSettings = SPAWN, **env: str) -> Pool:
        heard = Heard()
        pool = Pool(
            tmp_path,
            key=KEY,
            session_id="the session",
            env=lambda: environment(env),
            outlet=heard,
            on_change=heard.changed,
            settings=settings,
        )
        made.append(pool)
        return pool

    logging.getLogger("traitlets").addHandler(logging.NullHandler())
    yield make
    for pool in made:
        pool.close()
    assert [*tmp_path.glob("workers-*")] == []


def run(worker: Worker, code: str) -> dict[str, Any]:
    """The reply to a cell."""
    header = Session().msg("execute_request")["header"]
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {"v": "v"},
    }
    job = Job(header=header, content=content)
    worker.run(job)
    happened = job.happened.get(timeout=20)
    assert isinstance(happened, Done)
    return happened.reply


def children() -> list[psutil.Process]:
    """Processes of pools; what forks the kernels of other tests is none."""
    while True:
        with suppress(psutil.NoSuchProcess):  # one ended while it was looked at: look anew
            found = psutil.Process().children()
            ours = [one for one in found if "tests.zygote" not in one.cmdline()]
            return [*ours, *(below for one in ours for below in one.children(recursive=True))]


def leasing(pool: Pool, name: str) -> tuple[threading.Thread, list[BaseException]]:
    """A thread that waits for a worker, and what it is told where it gets none."""
    failures: list[BaseException] = []

    def lease() -> None:
        try:
            pool.lease(name)
        except IsolationUnavailable as error:
            failures.append(error)

    thread = threading.Thread(target=lease)
    thread.start()
    return thread, failures


@pytest.mark.parametrize("settings", [SPAWN, FORK], ids=["spawn", "zygote"])
def test_a_name_is_one_worker_and_no_name_is_always_another(
    make: MakePool, settings: PoolSettings
) -> None:
    pool = make(settings)
    named, again, fresh, other = (pool.lease(name) for name in ("a", "a", None, None))

    assert named is again
    assert len({each.worker_id for each in (named, fresh, other)}) == 3
    assert run(named, "v = 1")["user_expressions"]["v"]["data"] == {"text/plain": "1"}
    assert pool.find("a") is pool.find(named.worker_id) is named
    with pytest.raises(NotFound):
        pool.find("b")


def test_two_that_ask_for_one_name_at_once_get_the_same(make: MakePool) -> None:
    pool = make()
    with ThreadPoolExecutor(4) as threads:
        leased = [*threads.map(pool.lease, ["a"] * 4)]

    assert len(set(leased)) == 1
    assert pool.workers == leased[:1]


def test_two_that_ask_for_no_name_at_once_get_two(make: MakePool) -> None:
    pool = make(replace(SPAWN, spares=1))
    pool.keep_spares()
    with ThreadPoolExecutor(3) as threads:
        leased = [*threads.map(pool.lease, [None] * 3)]

    assert len(set(leased)) == 3


def test_a_spare_that_has_died_is_given_to_nobody(make: MakePool) -> None:
    pool = make(replace(SPAWN, spares=1))
    pool.keep_spares()
    until(lambda: len(pool.workers) == 1)
    spare = pool.workers[0]
    spare.signal(signal.SIGKILL)
    until(lambda: not spare.lives)

    leased = pool.lease("a")
    assert leased is not spare
    assert run(leased, "v = 2")["status"] == "ok"


def test_a_job_for_a_worker_that_has_died_is_told_so(make: MakePool) -> None:
    worker = make().lease("a")
    worker.signal(signal.SIGKILL)
    until(lambda: worker.died is not None)
    job = Job(header=Session().msg("execute_request")["header"], content={"code": "1"})
    worker.run(job)

    assert job.happened.get(timeout=20) is worker.died


@pytest.mark.parametrize("settings", [SPAWN, FORK], ids=["spawn", "zygote"])
def test_a_pool_that_is_closed_while_a_worker_starts_leaves_nothing(
    make: MakePool, settings: PoolSettings
) -> None:
    pool = make(settings)
    thread, _ = leasing(pool, "a")
    until(lambda: bool(children()))
    pool.close()
    thread.join(20)

    assert not thread.is_alive()
    assert children() == []
    with pytest.raises(IsolationUnavailable, match="the session has ended"):
        pool.lease("b")


def test_what_a_worker_said_when_it_did_not_start_is_told(make: MakePool, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "usercustomize.py").write_text(BROKEN, "utf-8")
    sys.path.insert(0, str(site))
    try:
        (site / "sitecustomize.py").write_text(BROKEN, "utf-8")
        with pytest.raises(IsolationUnavailable) as told:
            make().lease("a")
    finally:
        sys.path.remove(str(site))

    assert str(told.value) == "a worker ended while it started: SystemExit: no worker today"


def test_a_worker_that_takes_too_long_is_given_up_and_ended(make: MakePool) -> None:
    pool = make(replace(SPAWN, start_timeout_s=0.01))
    with pytest.raises(IsolationUnavailable, match=r"0\.01 s"):
        pool.lease("a")
    until(lambda: not children())


def before_it_is_met(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Signal the first worker that is ready, before its session has connected to it."""
    stock, signalled = pool_module.connect, list[int]()

    def connect(context: Any, started: starter.Started, order: Any) -> Any:
        if not signalled:
            signalled.append(started.process.pid or 0)
            strike(signalled[0], number)
        return stock(context, started, order)

    monkeypatch.setattr(pool_module, "connect", connect)


def test_one_that_ends_as_soon_as_it_is_ready_is_started_again(
    make: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_it_is_met(monkeypatch, signal.SIGKILL)
    worker = make(FORK).lease("a")

    assert (worker.kind, worker.reason) == ("spawn", "a worker ended while it started")
    assert run(worker, "v = 3")["status"] == "ok"


def test_one_that_does_not_answer_keeps_no_other_from_starting(
    make: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_it_is_met(monkeypatch, signal.SIGSTOP)
    pool = make(FORK)
    thread, failures = leasing(pool, "silent")
    until(lambda: any(one.status() == psutil.STATUS_STOPPED for one in children()))
    assert run(pool.lease("b"), "v = 4")["status"] == "ok"
    assert thread.is_alive()
    pool.close()
    thread.join(20)
    assert [str(error) for error in failures] == ["the session has ended"]


def test_what_a_zygote_forks_too_late_is_ended(
    make: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    slow = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
    (tmp_path / "slow_to_import.py").write_text(slow, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    pool = make(FORK)
    before = pool.lease("before")
    zygote = pool._nursery.zygote()
    assert zygote is not None
    monkeypatch.setattr(zygote_client, "_FORK_S", 0.1)
    zygote.preload(["slow_to_import"])
    late = pool.lease("late")
    gate.touch()
    zygote.kill(before.pid or 0, 0)  # answered after the fork

    assert (late.kind, late.reason) == ("spawn", "the zygote does not answer")
    until(lambda: [one.pid for one in psutil.Process(zygote.pid).children()] == [before.pid])
    assert run(before, "v = 5")["status"] == "ok"


@pytest.mark.parametrize(
    ("settings", "refused"),
    [(FORK, "flow-pool-wait"), (FORK, "flow-zygote"), (SPAWN, "flow-waiter")],
    ids=["waiting", "zygote", "program"],
)
def test_where_there_can_be_no_more_threads_nothing_is_left_and_the_next_one_starts(
    make: MakePool, monkeypatch: pytest.MonkeyPatch, settings: PoolSettings, refused: str
) -> None:
    """A fake refuses one thread: the limit of the system would hold for all of this user's."""
    pool, stock, told, leased = make(settings), threading.Thread.start, list[str](), list[Worker]()

    def start(thread: threading.Thread) -> None:
        if thread.name == refused and not told:
            told.append(refused)
            raise RuntimeError("can't start new thread")
        stock(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with suppress(IsolationUnavailable):
        leased.append(pool.lease(None))
    assert bool(leased) == bool(children())
    leased.append(pool.lease(None))

    assert told == [refused]
    assert [run(worker, "v = 6")["status"] for worker in leased] == ["ok"] * len(leased)
    pool.close()
    assert children() == []


def test_one_that_dies_while_there_is_no_descriptor_left_keeps_no_other_from_starting(
    make: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    before, stock = resource.getrlimit(resource.RLIMIT_NOFILE), sweep.kill_all

    def kill_all(tag: str, **also: Any) -> int:
        held = list[int]()
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        try:
            with suppress(OSError):
                while True:
                    held.append(os.dup(0))
            return stock(tag, **also)
        finally:
            for fd in held:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            monkeypatch.setattr(sweep, "kill_all", stock)

    monkeypatch.setattr(sweep, "kill_all", kill_all)
    pool = make(replace(SPAWN, start_timeout_s=10.0))
    worker = pool.lease("a")
    run(worker, "import subprocess; v = subprocess.Popen(['sleep', '1000'])")
    worker.signal(signal.SIGKILL)
    until(lambda: worker.died is not None)

    assert run(pool.lease("b"), "v = 7")["status"] == "ok"
    assert sweep.kill_all is stock
    pool.close()
    assert children() == []


def test_a_provisioner_that_nobody_has_installed_is_named(make: MakePool) -> None:
    with pytest.raises(IsolationUnavailable, match="nobody-has-this"):
        make(PoolSettings(provisioner="nobody-has-this", spares=0)).lease("a")


def test_a_child_that_somebody_else_has_waited_for_has_ended_all_the_same() -> None:
    popen = subprocess.Popen(["sleep", "60"])
    os.kill(popen.pid, signal.SIGKILL)
    os.waitpid(popen.pid, 0)
    process = ProgramProcess(popen)
    ends: list[Ended] = []
    process.call_at_end(ends.append)
    until(lambda: bool(ends))
    process.send_signal(signal.SIGKILL)  # to nobody

    assert ends == [Ended(returncode=None)]
    popen.returncode = 0


def test_messages_under_another_key_are_proved_and_signed_anew() -> None:
    ours, theirs = Session(key=b"ours"), Session(key=b"theirs")
    sent = theirs.serialize(theirs.msg("stream", {"name": "stdout", "text": "é"}))
    forged = Session(key=b"nobody's").serialize(theirs.msg("stream", {}))
    read_far = reader(theirs.key, ours.key)

    message = read_far([b"topic", *sent, b"buffer"])
    assert message is not None
    _, frames = ours.feed_identities([*message.frames])
    assert ours.deserialize(frames)["content"]["text"] == "é"
    assert list(message.buffers) == [b"buffer"]
    assert read_far(forged) is None
    assert reader(ours.key, ours.key) is read


def test_nothing_of_a_worker_that_does_not_answer_stays_open() -> None:
    reads, writes = os.pipe()
    popen = subprocess.Popen(["sleep", "60"], process_group=0)
    process = ProgramProcess(popen)
    starter.give_up(
        starter.Started(
            manager=None, process=process, kind="spawn", pipes=(reads,), modules=(), last_words=None
        )
    )
    os.close(writes)

    assert process.wait(20) == -signal.SIGKILL
