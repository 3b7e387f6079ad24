"""What a tree of processes uses is counted whole, wherever its members have gone."""

import os
import resource
import signal
from collections.abc import Iterator

import psutil
import pytest

from flow_kernel.workers import sweep, tree
from flow_kernel.workers.tree import Usage, footprint, look
from tests.workers.trees import Program, new_tag, until

MB = 2**20
PAGES = 80 * MB
FILL = f"block = bytearray({PAGES}); block[::4096] = b'x' * len(block[::4096])"


@pytest.fixture
def idle() -> Iterator[Program]:
    """A process alone."""
    with Program("tell(0); rest()") as program:
        program.number()
        yield program


def usage_of(pid: int, tag: str | None = None) -> Usage:
    usage = look(pid, tag)
    assert usage is not None
    return usage


def test_a_process_alone_is_its_own_tree(idle: Program) -> None:
    usage = usage_of(idle.pid)

    memory = psutil.Process(idle.pid).memory_info().rss
    assert (usage.pids, usage.processes) == ((idle.pid,), 1)
    assert abs(usage.rss_bytes - memory) < 2 * MB
    assert usage.peak_rss_bytes is not None
    assert usage.peak_rss_bytes >= usage.rss_bytes - 2 * MB
    assert 0 < usage.cpu_s < 60


def test_descendants_count_in_sessions_of_their_own_and_below_adopted_ones() -> None:
    code = """
tell(fork(lambda: (tell(fork(lambda: apart(report))), rest())))
twice(lambda: apart(lambda: report(lambda: (fork(report), rest()))))
rest()
"""
    with Program(code) as program:
        members = program.numbers(5)

        usage = usage_of(program.pid)

        assert set(usage.pids) == {program.pid, *members}
        assert usage.pids[0] == program.pid
        assert usage.processes == 5


def test_a_child_of_a_thread_counts() -> None:
    code = "threading.Thread(target=lambda: (tell(fork()), rest_of_thread.wait())).start(); rest()"
    with Program(f"rest_of_thread = threading.Event()\n{code}") as program:
        child = program.number()

        assert usage_of(program.pid).pids == (program.pid, child)


def test_what_left_the_tree_counts_by_its_tag_and_a_neighbour_does_not() -> None:
    tags = [new_tag(), new_tag()]
    code = """
def worker(tag):
    sweep.wear(tag)
    twice(lambda: report(lambda: (fork(report), rest())))
    rest()
"""
    start = "".join(f"tell(fork(lambda: worker({tag!r})))\n" for tag in tags)
    with Program(f"{code}{start}rest()", tag=new_tag()) as program:
        for tag in tags:
            program.also_ends(tag)
        program.numbers(6)
        of_each = [sweep.tagged(tag) for tag in tags]
        workers = [min(pids, key=_age) for pids in of_each]

        looks = [usage_of(pid, tag) for pid, tag in zip(workers, tags, strict=True)]

        assert [usage_of(pid).pids for pid in workers] == [(pid,) for pid in workers]
        assert [sorted(usage.pids) for usage in looks] == of_each
        assert [usage.processes for usage in looks] == [3, 3]


def _age(pid: int) -> tuple[float, int]:
    return psutil.Process(pid).create_time(), pid


def test_memory_of_a_child_counts() -> None:
    with Program(f"def work():\n    {FILL}\n    report()\nfork(work)\nrest()") as program:
        child = program.number()

        usage = usage_of(program.pid)

        assert usage.pids == (program.pid, child)
        assert PAGES < usage.rss_bytes < PAGES + 100 * MB


def test_pages_that_forks_share_are_counted_once_by_the_footprint() -> None:
    with Program(f"{FILL}\nfor _ in range(3): fork(report)\nrest()") as program:
        program.numbers(3)

        usage = usage_of(program.pid)
        shared = footprint(usage.pids)

        assert usage.rss_bytes > 4 * PAGES
        assert shared is not None
        assert PAGES < shared < 2 * PAGES


def test_memory_that_was_given_back_is_in_the_peak() -> None:
    with Program(f"{FILL}\ndel block\ntell(0)\nrest()") as program:
        program.number()

        usage = usage_of(program.pid)

        assert usage.peak_rss_bytes is not None
        assert usage.peak_rss_bytes > PAGES > usage.rss_bytes


def test_time_of_a_child_that_has_ended_counts() -> None:
    spin = "def spin():\n    while time.process_time() < 0.2: pass"
    with Program(f"{spin}\nos.waitpid(fork(spin), 0); tell(0); rest()") as program:
        program.number()

        usage = usage_of(program.pid)

        assert (usage.processes, usage.cpu_s >= 0.2) == (1, True)


def test_a_zombie_below_counts_as_a_process() -> None:
    with Program("tell(fork(lambda: None)); rest()") as program:
        child = program.number()
        until(lambda: psutil.Process(child).status() == psutil.STATUS_ZOMBIE)

        assert usage_of(program.pid).pids == (program.pid, child)


def test_a_zombie_and_a_process_that_is_gone_have_no_usage(idle: Program) -> None:
    os.kill(idle.pid, signal.SIGKILL)
    until(lambda: psutil.Process(idle.pid).status() == psutil.STATUS_ZOMBIE)

    as_zombie = look(idle.pid)
    idle.process.wait()

    assert (as_zombie, look(idle.pid), footprint([idle.pid])) == (None, None, None)


@pytest.mark.parametrize("missing", ["_HAS_CHILDREN", "HAS_PROC"])
def test_a_system_that_lists_no_children_or_has_no_proc_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Such a system cannot be had here: the module is told that this is one."""
    tag = new_tag()
    code = "fork(lambda: (fork(report), report())); twice(lambda: apart(report)); rest()"
    with Program(code, tag=tag) as program:
        program.numbers(3)
        here = usage_of(program.pid, tag)
        for module in (sweep, tree):
            monkeypatch.setattr(module, missing, False, raising=False)

        there = usage_of(program.pid, tag)

        assert sorted(there.pids) == sorted(here.pids)
        assert there.processes == here.processes == 4
        assert abs(there.cpu_s - here.cpu_s) < 0.1
        assert there.rss_bytes >= here.rss_bytes - 2 * MB
        assert sweep.children(program.pid) == [
            pid
            for pid in sweep.descendants(program.pid)
            if psutil.Process(pid).ppid() == program.pid
        ]


def test_looking_leaves_no_descriptor_open(idle: Program) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/proc/self/fd")) + 8
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        usages = [look(idle.pid, new_tag()) for _ in range(2 * few)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert None not in usages
