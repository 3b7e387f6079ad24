"""What a cell may do to the process that records it, each in an interpreter of its own."""

from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.scan import verify
from tests.records.journals import PATCH, read_by_hand, run_python

_START = (
    PATCH
    + """
from pathlib import Path
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
home = Home(Path(sys.argv[1]))
log = home.log_path("local", "T-0000")
journal = Journal(home, "5e" * 16)
def note(n):
    return journal.append("late", "local", "T-0000", {"n": n})
"""
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".flow")


@pytest.fixture
def log(home: Home) -> Path:
    return home.log_path("local", "T-0000")


def test_patched_modules_and_builtins_do_not_reach_the_journal(home: Home, log: Path) -> None:
    """Also when the home has to be made, deleted and made anew, and a new task begun."""
    program = """
import orjson, fcntl, errno, stat, functools, collections
ended, delete, told = os._exit, shutil.rmtree, os.write
modules = list(sys.modules.values())
assert note(0) == 1
delete(home.root)
stop = time.monotonic() + 0.002
while time.monotonic() < stop: pass
ruin(os, time, json, orjson, hashlib, zlib, codecs, re, fcntl, errno, stat, functools, collections)
ruin(threading, pathlib, shutil)
sys.modules.clear()
ruin(builtins)
for n in 1, 2, 3:
    told(1, b"%d " % note(n))
told(1, b"%d " % journal.append("late", "other plan", "T-0001", {"text": "\\ud800"}))
journal.sync()
journal.close()
ended(0)
"""
    assert run_python(_START + program, home.root) == "2 3 4 5 "
    assert [r["seq"] for r in read_by_hand(log)] == [2, 3, 4]
    assert verify(home.log_files()).records == 4


def test_a_forked_child_records_nothing(home: Home, log: Path) -> None:
    program = """
assert note(0) == 1
pid = os.fork()
if not pid:
    results = [note(1), journal.sync(), journal.close()]
    os._exit(0 if results == [None, None, None] else 1)
assert os.waitpid(pid, 0)[1] == 0
assert note(2) == 2
journal.close()
"""
    run_python(_START + program, home.root)

    assert [(r["seq"], r["n"]) for r in read_by_hand(log)] == [(1, 0), (2, 2)]


def test_a_fork_while_another_thread_records_blocks_nobody(home: Home, log: Path) -> None:
    program = """
import warnings
warnings.simplefilter("ignore")
is_over = threading.Event()
def write():
    while not is_over.is_set():
        note(0)
thread = threading.Thread(target=write)
thread.start()
for _ in range(20):
    pid = os.fork()
    if not pid:
        os._exit(0 if note(1) is None else 1)
    assert os.waitpid(pid, 0)[1] == 0
is_over.set()
thread.join()
journal.close()
"""
    run_python(_START + program, home.root)

    assert {r["n"] for r in read_by_hand(log)} == {0}
    assert verify([log]).ok


def test_a_cell_that_closes_all_descriptors_loses_no_record_and_no_file_of_its_own(
    home: Home, log: Path, tmp_path: Path
) -> None:
    program = """
assert note(0) == 1
for n in range(1, 4):
    os.closerange(3, 4096)
    files = [open(sys.argv[2] + str(i), "w") for i in range(100)]
    assert note(n) == n + 1
    journal.sync()
    os.closerange(3, 4096)
    journal.sync()
    [os.close(os.open(os.devnull, os.O_RDONLY)) for _ in files]
    files = [os.dup(2) for _ in files] and []
journal.close()
os._exit(0)
"""
    run_python(_START + program, home.root, tmp_path / "mine-")

    assert [(r["seq"], r["n"]) for r in read_by_hand(log)] == [(n + 1, n) for n in range(4)]
    assert {path.read_text() for path in tmp_path.glob("mine-*")} == {""}


def test_a_low_limit_on_open_files_is_no_obstacle(home: Home, log: Path) -> None:
    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
assert [note(n) for n in range(3)] == [1, 2, 3]
files = []
try:
    while True:
        files.append(open(os.devnull))
except OSError:
    pass
assert [note(n) for n in range(3, 6)] == [4, 5, 6]
assert journal.append("late", "local", "T-0001", {}) is None
files.pop().close()
assert note(7) == 8
journal.close()
"""
    run_python(_START + program, home.root)

    assert verify(home.log_files()).ok
    assert verify(home.log_files()).records == 8


def test_ctrl_c_at_any_time_loses_and_doubles_nothing(home: Home, log: Path) -> None:
    """A timer sends SIGALRM every 150 microseconds of an append-only second; its handler raises."""
    program = """
import random, signal
acknowledged, hits = set(), 0
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
stop = time.monotonic() + 1.0
n = 0
while time.monotonic() < stop or hits <= 50:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))
        for _ in range(20):
            n += 1
            acknowledged.add(note(n))
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        hits += 1
signal.setitimer(signal.ITIMER_REAL, 0)
try:
    note(0)
except KeyboardInterrupt:
    pass
journal.close()
records = [json.loads(line) for line in log.read_bytes().splitlines()]
assert [r["seq"] for r in records] == list(range(1, journal.last_seq + 1))
assert acknowledged <= {r["seq"] for r in records}
print(hits)
"""
    assert int(run_python(_START + program, home.root)) > 50
    assert verify([log]).ok


def test_a_signal_handler_may_record_at_any_time(home: Home, log: Path) -> None:
    program = """
import random, signal
inner = 0
def handler(*_):
    global inner
    inner += 1
    note("inner")
    signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 1e-4)
stop = time.monotonic() + 0.5
outer = 0
while time.monotonic() < stop or inner <= 50:
    note("outer")
    outer += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a handler that is due would set the timer again
signal.setitimer(signal.ITIMER_REAL, 0)
note("outer")
journal.close()
print(inner, outer + 1)
"""
    inner, outer = map(int, run_python(_START + program, home.root).split())

    texts = [r["n"] for r in read_by_hand(log)]
    assert inner > 50
    assert (texts.count("inner"), texts.count("outer")) == (inner, outer)
    assert verify([log]).ok
