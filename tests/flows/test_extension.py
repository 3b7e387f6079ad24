"""`%load_ext flow_kernel` in stock ipykernel and in terminal IPython; and what is left after it."""

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pexpect
import pytest

from tests.environments import environment
from tests.kernels import DEADLINE_S, STOCK, Kernel
from tests.logs import Record, TaskLogs
from tests.programs import programs
from tests.promises import promise

CELLS: Final = [
    "a = [1]; b = 2",
    "a.append(b); print('seen', a)",
    "import sys; sys.modules.pop('wave', None); import wave",
    "a + [3]",
    "b = 3; del wave",
    "raise ValueError('red')",
    "get_ipython().run_cell('inner = 1', store_history=True) and None",
    "import os; _w = os.system('echo below')",
    "x = = 1",
]
_OWN: Final = {
    *("session", "seq", "timestamp", "prev", "crc", "elapsed_ms", "execution_count", "msg_id"),
    *("span_id", "parent_span_id", "trace_id", "cpu_ms", "rss_bytes", "recorder_us", "cell_id"),
}

SNAPSHOT: Final = programs("snapshot")["of_shell_and_process"][0]


def _comparable(records: list[Record]) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k not in _OWN} for r in copy.deepcopy(records)]


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What differs between two snapshots, down to the name."""
    return {
        key: (before.get(key), after.get(key))
        if not isinstance(before.get(key), dict) or not isinstance(after.get(key), dict)
        else _differences(before[key], after[key])
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    }


def _snapshots(folder: Path, *names: str) -> list[dict[str, Any]]:
    return [json.loads((folder / name).read_text(encoding="utf-8")) for name in names]


def _same(records: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    for record, other in zip(records, others, strict=True):
        assert _differences(*_seen_in_both(record, other)) == {}


def _seen_in_both(*records: dict[str, Any]) -> list[dict[str, Any]]:
    """Without the summaries that a slow machine had no time for, as one of the records says."""
    if not any("vars" in record["truncated"] for record in records):
        return [*records]
    names = set.intersection(*(set(record["vars"]) for record in records))
    return [
        {
            **record,
            "vars": {name: record["vars"][name] for name in names},
            "truncated": {k: v for k, v in record["truncated"].items() if k != "vars"},
        }
        for record in records
    ]


def _plain(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without what a terminal and a client show differently."""
    for record in records:
        record.pop("outputs")
        if record["error"]:
            record["error"].pop("traceback")
            # ipykernel adds the name of its temporary file.
            record["error"]["evalue"] = record["error"]["evalue"].partition(" (")[0]
    return records


def _recorded(logs: TaskLogs) -> list[Record]:
    return [r for r in logs.records("cell") if "flow_kernel" not in r["code"]]


def _wait_for_below(kernel: Kernel, cell: str) -> None:
    if "below" in cell:
        kernel.wait_for_text("below")


@pytest.fixture(scope="module")
def of_the_kernel() -> list[Record]:
    """What the Flow kernel records of the cells; cold, for what they import for the first time."""
    with Kernel(is_cold=True) as kernel:
        kernel.run("pass  # where the others load flow_kernel")
        for cell in CELLS:
            kernel.run(cell)
            _wait_for_below(kernel, cell)
        return _recorded(kernel.logs)


@promise("extension.same")
def test_the_extension_in_stock_ipykernel_records_what_the_kernel_records(
    of_the_kernel: list[Record],
) -> None:
    with Kernel(STOCK) as stock:
        assert stock.run("%load_ext flow_kernel").status == "ok"
        for cell in CELLS:
            stock.run(cell)
            _wait_for_below(stock, cell)

        records = _recorded(stock.logs)

    assert [[*r] for r in records] == [[*r] for r in of_the_kernel]
    _same(_comparable(records), _comparable(of_the_kernel))


@promise("extension.same")
def test_the_extension_acknowledges_in_the_reply_of_stock_ipykernel() -> None:
    with Kernel(STOCK) as stock:
        stock.run("%load_ext flow_kernel")

        ran = stock.run("x = 1", cell_id="c1")

        record = stock.logs.one("cell", msg_id=ran.msg_id)
        assert (record["cell_id"], record["added_vars"]) == ("c1", ["x"])
        assert ran.flow in ({}, {**ran.flow, "seq": record["seq"]})


@promise("extension.unload")
def test_after_unload_a_stock_kernel_is_as_before() -> None:
    with Kernel(STOCK) as stock:
        stock.run(SNAPSHOT)
        stock.run("import flow_kernel.shell.extension; del flow_kernel")
        stock.run("print('warm')")
        stock.run("_save('before')")
        stock.run("%load_ext flow_kernel")
        stock.run("_save('loaded')")
        stock.run("_x = 1; print(_x); _x")
        stock.run("%unload_ext flow_kernel")
        stock.run("_save('after')")
        count = len(stock.logs.records())
        stock.run("unseen = 1")

        before, loaded, after = _snapshots(stock.cwd, "before", "loaded", "after")
        assert _differences(before, loaded) != {}
        assert _differences(before, after) == {}
        assert len(stock.logs.records()) == count
        assert list(stock.home.glob("run/*")) == []


@promise("extension.unload")
def test_the_extension_can_be_loaded_twice_and_again_after_unload() -> None:
    with Kernel(STOCK) as stock:
        for _ in range(2):
            stock.run("%load_ext flow_kernel")
        one = stock.run("a = 1")
        stock.run("%reload_ext flow_kernel")
        two = stock.run("b = 1")
        stock.run("%unload_ext flow_kernel")
        none = stock.run("c = 1")
        stock.run("%load_ext flow_kernel")
        three = stock.run("d = 1")

        counts = [
            len(stock.logs.records("cell", msg_id=ran.msg_id)) for ran in (one, two, none, three)
        ]
        assert counts == [1, 1, 0, 1]


@promise("extension.unload")
def test_unloading_without_loading_and_loading_in_the_kernel_do_no_harm(flow: Kernel) -> None:
    with Kernel(STOCK) as stock:
        stock.run("%unload_ext flow_kernel")
        assert stock.run("1 + 1").result == "2"
    loaded = flow.run("%load_ext flow_kernel")
    ran = flow.run("after_loading = 1")

    assert loaded.status == "ok"
    assert len(flow.logs.records("cell", msg_id=ran.msg_id)) == 1


class Terminal:
    """IPython in a terminal, driven by a pty."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = TaskLogs(root / "home")
        env = {"TERM": "dumb", "FLOW_HOME": str(root / "home"), "IPYTHONDIR": str(root / "ipython")}
        self._child = pexpect.spawn(
            sys.executable,
            [
                "-m",
                "IPython",
                "--simple-prompt",
                "--no-banner",
                "--no-confirm-exit",
                "--colors=NoColor",
            ],
            cwd=str(root),
            env=environment(env),
            encoding="utf-8",
            timeout=DEADLINE_S,
        )
        self._count = 0
        self._prompt()

    def _prompt(self) -> str:
        self._child.expect(r"In \[\d+\]: ")
        return str(self._child.before)

    def run(self, code: str) -> str:
        """Run one line; returns what the screen showed."""
        self._child.sendline(code)
        return self._prompt()

    def close(self) -> None:
        """Leave as a person does."""
        if self._child.isalive():
            self._child.sendline("exit")
            self._child.expect(pexpect.EOF)
        self._child.close(force=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


@promise("extension.same")
def test_the_extension_in_terminal_ipython_records_what_the_kernel_records(
    terminal: Terminal, of_the_kernel: list[Record]
) -> None:
    terminal.run("%load_ext flow_kernel")

    screens = [terminal.run(cell) for cell in CELLS]

    records = _recorded(terminal.logs)
    assert [[*r] for r in records] == [[*r] for r in of_the_kernel]
    # Bytes that a child writes to a terminal do not pass through Python.
    below = [
        {**r, "stdout": r["stdout"].replace("below\n", "")} for r in _comparable(of_the_kernel)
    ]
    _same(_plain(_comparable(records)), _plain(below))
    assert "seen [1, 2]" in screens[1]
    assert "ValueError: red" in screens[5]


@promise("extension.unload")
def test_after_unload_terminal_ipython_is_as_before(terminal: Terminal) -> None:
    (terminal.root / "snapshot.py").write_text(SNAPSHOT, encoding="utf-8")
    terminal.run("exec(open('snapshot.py').read())")
    terminal.run("import flow_kernel.shell.extension; del flow_kernel")
    terminal.run("_save('before')")
    terminal.run("%load_ext flow_kernel")
    terminal.run("1 + 1; print('x')")
    terminal.run("%unload_ext flow_kernel")
    terminal.run("_save('after')")

    before, after = _snapshots(terminal.root, "before", "after")
    assert _differences(before, after) == {}


@promise("extension.same", "death.only")
def test_leaving_terminal_ipython_is_no_death(terminal: Terminal) -> None:
    terminal.run("%load_ext flow_kernel")
    terminal.run("x = 1")

    terminal.close()

    assert [r["kind"] for r in terminal.logs.records()][-1] == "cell"
    assert list(terminal.root.glob("home/run/*")) == []
