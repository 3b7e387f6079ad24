"""Several handles, threads, forks and processes on one file lose nothing of one another."""

from pathlib import Path

from flow_kernel.store.sqlite import SqliteStore
from tests.records.journals import run_python
from tests.store.stores import START, context_of, outputs_of, put_value, start


def test_a_second_handle_in_a_process_costs_the_first_no_update(tmp_path: Path) -> None:
    """Locks of a file end when the process closes any descriptor of it.

    Another process then takes the log beside the file away, and updates go into a deleted file.
    """
    first, second = (SqliteStore(tmp_path / "flow.db") for _ in range(2))
    put_value(first, "k0", b"0")
    for n in range(1, 4):
        assert len(context_of(second)) == 2 * n - 1
        second.close()
        run_python(START + "add(int(sys.argv[2]))\nstore.close()", tmp_path, 1000 + n)
        put_value(first, f"k{n}", b"%d" % n)
    first.close()
    assert sorted(context_of(second)) == ["k0", "k1", "k1001", "k1002", "k1003", "k2", "k3"]
    second.close()


def test_a_forked_child_and_its_parent_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """The child has a connection and locks of its own, even when the parent closes its."""
    program = """
add(0)
read, write = os.pipe()
pid = os.fork()
if not pid:
    add(1)
    os.read(read, 1)
    add(2)
    store.close()
    os._exit(0)
while "k0001" not in get():
    pass
store.close()
os.write(write, b"x")
add(3)
store.close()
assert os.waitpid(pid, 0)[1] == 0
assert sorted(get()) == ["k0000", "k0001", "k0002", "k0003"], get()
assert store.check() == []
store.close()
"""
    run_python(START + program, tmp_path)


def test_children_that_are_forked_while_threads_write_can_write_too(tmp_path: Path) -> None:
    """No child inherits a lock that nobody releases, or half a transaction."""
    program = """
add(0)
is_over = threading.Event()
counts = [0, 0]
def work(thread):
    while not is_over.is_set():
        add(1000 * (thread + 1) + counts[thread] % 1000)
        counts[thread] += 1
threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
for thread in threads:
    thread.start()
for n in range(1, 31):
    pid = os.fork()
    if not pid:
        try:
            add(n)
            store.close()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
is_over.set()
for thread in threads:
    thread.join()
found = get()
assert [n for n in range(31) if f"k{n:04}" not in found] == []
assert all(f"k{1000 * (n + 1) + count % 1000:04}" in found for n in range(2)
           for count in range(counts[n]))
assert store.check() == []
store.close()
"""
    run_python("import warnings; warnings.simplefilter('ignore')\n" + START + program, tmp_path)


def test_a_child_that_is_forked_inside_a_transaction_is_refused(tmp_path: Path) -> None:
    program = """
add(0)
with store.write() as change:
    pid = os.fork()
    if not pid:
        told = refused(get)
        os._exit(0 if "forked" in told and "spawn" in told else 1)
    assert os.waitpid(pid, 0)[1] == 0
    change.put_context("local", "T-0001", {"k0001": b"1"}, author="ann", at="")
assert sorted(get()) == ["k0000", "k0001"]
store.close()
"""
    run_python(START + program, tmp_path)


def test_processes_that_come_and_go_lose_nothing(tmp_path: Path) -> None:
    """The last one that closes the file takes its log away, while the next one opens it."""
    program = """
for n in range(40):
    add(100 * int(sys.argv[2]) + n)
    store.close()
"""
    outputs_of([start("-c", START + program, tmp_path, n) for n in range(1, 5)])
    store = SqliteStore(tmp_path / "flow.db")
    expected = {f"k{100 * n + m:04}": 100 * n + m for n in range(1, 5) for m in range(40)}
    assert context_of(store) == expected
    assert store.check() == []
    store.close()
