"""Nothing that a worker started outlives it, however it tries."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from flow_kernel.workers import sweep
from tests.workers.trees import DEADLINE_S, ROOT, Program, all_gone, new_tag, runs, until


@pytest.fixture
def tag() -> str:
    return new_tag()


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is being executed is waited for to the end, however long a processor is not to be had."""
    monkeypatch.setattr(sweep, "_EXECUTING_S", DEADLINE_S)


@pytest.fixture
def bystander() -> Iterator[Program]:
    """Somebody else's process, with a tag of its own."""
    with Program("tell(0); rest()", tag=new_tag()) as program:
        program.number()
        yield program


def test_tagged_processes_are_found_wherever_they_are(tag: str) -> None:
    code = "apart_ = fork(lambda: apart(report)); twice(lambda: apart(report)); report()"
    with Program(code, tag=tag) as program:
        members = program.numbers(3)

        assert sweep.tagged(tag) == sorted(members)


@pytest.mark.parametrize(
    "entry",
    [
        ("FLOW_WORKER_TAG", "{tag}0"),
        ("FLOW_WORKER_TAG", "0{tag}"),
        ("FLOW_WORKER_TAG", ""),
        ("NOT_FLOW_WORKER_TAG", "{tag}"),
        ("OTHER", "\nFLOW_WORKER_TAG={tag}"),
        ("OTHER", "FLOW_WORKER_TAG={tag}"),
    ],
)
def test_only_the_very_entry_is_a_tag(tag: str, entry: tuple[str, str]) -> None:
    name, value = entry[0], entry[1].format(tag=tag)
    command = [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command, env={name: value}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        found = sweep.tagged(tag)
        nobody = sweep.tagged("")
        killed = sweep.kill_all(tag) + sweep.kill_all("")

        process.communicate(b"\n", DEADLINE_S)
        assert (found, nobody, killed, process.returncode) == ([], [], 0, 0)


def test_this_process_is_never_found_nor_killed(tag: str) -> None:
    code = f"""
child = fork()
tell(sweep.tagged({tag!r}) == [child])
tell(sweep.kill_all({tag!r}, also=[os.getpid()]))
tell(os.waitpid(child, 0)[1])
rest()
"""
    with Program(code, tag=tag) as program:
        assert [program.line() for _ in range(3)] == ["True", "1", "9"]


def test_a_program_with_an_empty_environment_is_found_below_its_parent(tag: str) -> None:
    with Program("tell(fork(lambda: fork(bare) and rest())); rest()", tag=tag) as program:
        parent = program.number()
        until(lambda: len(sweep.descendants(program.pid)) == 2 and len(sweep.tagged(tag)) == 2)

        (one, two) = sweep.descendants(program.pid)

        assert one == parent
        assert two not in sweep.tagged(tag)
        assert sweep.children(program.pid) == [parent]


@pytest.mark.usefixtures("executed")
def test_a_program_that_is_just_being_executed_is_seen(tag: str) -> None:
    command, env = [sys.executable, "-I", "-S"], {"FLOW_WORKER_TAG": tag}
    missed = 0
    for _ in range(30):
        # It returns as soon as the system has begun to execute: one of four has no environment yet.
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE) as process:
            missed += not sweep.carries(process.pid, tag)

    assert missed == 0


def test_everything_that_carries_the_tag_or_is_below_it_is_killed(
    tag: str, bystander: Program
) -> None:
    code = """
fork(lambda: apart(report))
twice(lambda: apart(report))
fork(lambda: (signal.signal(signal.SIGTERM, signal.SIG_IGN), report()))
fork(lambda: (tell(os.getpid()), os.kill(os.getpid(), signal.SIGSTOP)))
fork(lambda: (fork(lambda: bare("import os, signal; os.write(1, b'%d\\\\n' % os.getpid());"
                                "signal.alarm(60); signal.pause()")), report()))
report()
"""
    with Program(code, tag=tag) as program:
        members = program.numbers(7)

        killed = sweep.kill_all(tag)

        assert (killed, sweep.tagged(tag)) == (7, [])
        assert all_gone(*members)
        assert runs(bystander.pid)


def test_what_a_subreaper_has_adopted_is_killed_without_any_mark(tag: str) -> None:
    code = f"""
twice(lambda: apart(bare))
while not (left := sweep.children(os.getpid())) or sweep.tagged({tag!r}):
    time.sleep(0.001)
tell(sweep.kill_all({tag!r}, also=left), *left)
rest()
"""
    with Program(code, tag=tag) as program:
        killed, left = map(int, program.line().split())

        assert killed == 1
        until(lambda: all_gone(left))


def test_what_is_below_the_processes_named_is_killed_too(bystander: Program) -> None:
    with Program("fork(lambda: (fork(lambda: apart(report)), report())); report()") as program:
        members = program.numbers(3)

        killed = sweep.kill_all("", also=[program.pid])

        assert (killed, all_gone(*members), runs(bystander.pid)) == (3, True, True)


def test_a_process_that_leaves_a_successor_again_and_again_is_killed(tag: str) -> None:
    code = f"""
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what it leaves behind is reaped
def hydra():
    sweep.wear({tag!r})
    os.setsid()
    tell(0)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
for _ in range(2): fork(hydra)
rest()
"""
    with Program(code, tag=new_tag()) as program:
        program.also_ends(tag)
        assert [program.number() for _ in range(2)] == [0, 0]

        killed = sweep.kill_all(tag)

        assert killed >= 2
        assert [sweep.tagged(tag) for _ in range(20)] == [[]] * 20
        until(lambda: sweep.children(program.pid) == [])


def test_a_process_that_forks_on_while_it_is_killed_leaves_nothing(tag: str) -> None:
    code = f"""
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def breed(depth):
    sweep.wear({tag!r})
    for _ in range(20):
        fork(lambda: breed(depth - 1) if depth else rest())
        time.sleep(0.002)
    rest()
fork(lambda: breed(1))
tell(0)
rest()
"""
    with Program(code, tag=new_tag()) as program:
        program.also_ends(tag)
        program.number()
        until(lambda: len(sweep.tagged(tag)) > 20)

        killed = sweep.kill_all(tag)

        assert killed > 20
        until(lambda: sweep.children(program.pid) == [])
        assert sweep.tagged(tag) == []


def test_nothing_is_reaped_so_the_parent_learns_the_status(tag: str) -> None:
    with Program("tell(0); rest()", tag=tag) as program:
        program.number()

        killed = sweep.kill_all(tag, also=[program.pid])

        assert (killed, program.process.wait(DEADLINE_S)) == (1, -signal.SIGKILL)


def test_a_process_that_is_gone_is_nobody(tag: str) -> None:
    gone = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    gone.wait(DEADLINE_S)

    assert sweep.kill_all(tag, also=[gone.pid]) == 0
    assert (sweep.children(gone.pid), sweep.descendants(gone.pid)) == ([], [])


def test_a_subreaper_becomes_the_parent_of_what_is_left_behind() -> None:
    code = "twice(lambda: (tell(os.getpid(), os.getppid()), rest())); tell('adopted'); rest()"
    with Program(code) as program:
        lines = {program.line(), program.line()}
        (told,) = lines - {"adopted"}
        orphan, parent = map(int, told.split())

        assert parent == program.pid
        assert psutil.Process(orphan).ppid() == program.pid
        assert sweep.children(program.pid) == [orphan]


def test_a_process_that_is_bound_dies_with_its_parent() -> None:
    code = """
def parent():
    me = os.getpid()
    fork(lambda: tell(me, os.getpid(), sweep.die_with_parent(signal.SIGKILL, me)) or rest())
    rest()
fork(parent)
rest()
"""
    with Program(code) as program:
        parent, child, is_bound = program.line().split()

        os.kill(int(parent), signal.SIGKILL)

        assert is_bound == "True"
        until(lambda: all_gone(int(child)))


def test_a_process_whose_parent_has_ended_before_it_was_bound_exits_at_once() -> None:
    code = "from flow_kernel.workers import sweep; sweep.die_with_parent(9, 1 << 30); print('on')"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=DEADLINE_S, check=False
    )

    assert (done.returncode, done.stdout) == (128 + 9, b"")


def test_a_system_without_such_things_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a system cannot be had here: the module is told that this is one."""
    monkeypatch.setattr(sys, "platform", "darwin")

    assert not sweep.become_subreaper()
    assert not sweep.die_with_parent(signal.SIGKILL, os.getppid())


@pytest.mark.usefixtures("executed")
def test_a_fork_wears_its_own_tag_and_hands_it_down(tag: str) -> None:
    sleeper = "import signal; signal.alarm(60); signal.pause()"
    code = f"""
def worker():
    tell(sweep.wear({tag!r}))
    fork(report)
    tell(subprocess.Popen([sys.executable, "-I", "-S", "-c", {sleeper!r}]).pid)
    report()
fork(worker)
rest()
"""
    inherited = new_tag()
    with Program(code, tag=inherited) as program:
        program.also_ends(tag)
        lines = [program.line() for _ in range(4)]

        assert lines[0] == "True"
        assert sweep.tagged(tag) == sorted(map(int, lines[1:]))
        assert sweep.tagged(inherited) == [program.pid]


@pytest.mark.usefixtures("executed")
@pytest.mark.parametrize("inherited", ["short", None])
def test_a_tag_that_does_not_fit_marks_only_what_is_executed(
    tag: str, inherited: str | None
) -> None:
    sleeper = "import signal; signal.alarm(60); signal.pause()"
    code = f"""
tell(sweep.wear({tag!r}))
tell(subprocess.Popen([sys.executable, "-I", "-S", "-c", {sleeper!r}]).pid)
rest()
"""
    with Program(code, tag=inherited) as program:
        program.also_ends(tag)

        is_marked, executed = program.line(), program.number()

        assert is_marked == "False"
        assert sweep.tagged(tag) == [executed]
