"""Where the time of one small cell goes, thread by thread, in a live kernel and in stock ipykernel.

Called by hand when a target is out of reach; what it prints is Markdown for `results/profiles.md`:

    python tests/benchmarks/where.py [--code CODE] [--cells 100] [--blocks 10] [--rows 15]

Both kernels are alive together and take turns in blocks of cells. Read from outside, for each
thread (`/proc/PID/task/*/schedstat` and `status`): time on a processor, time in the queue for one,
how often it fell asleep and how often it was put aside. Then, over cells of their own, cProfile of
the main thread: calls and time of its dearest functions. The profiler makes every call slower: the
shares are right, the sum is too high.
"""

import argparse
import pstats
import random
import re
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from harness import Bench, in_turn, spread
from live import FLOW, STOCK, Kernel
from profile_cell import SWITCH_OFF, SWITCH_ON
from together import STOCK_NAME, kernels, rested_cpu_ms

_NAMES: Final = (
    "import threading as _t, json as _j\n"
    "open({path!r}, 'w').write(_j.dumps({{t.native_id: t.name for t in _t.enumerate()}}))"
)
_ASLEEP: Final = re.compile(r"^(non)?voluntary_ctxt_switches:\s+(\d+)$", re.MULTILINE)
_WAITS: Final = ("select.epoll", "select.select", "select.poll", "zmq_poll")
_AWAKE_US: Final = 0.5
_PER_THREAD: Final = ("thread", "CPU µs", "queue µs", "sleeps", "put aside")
_PER_FUNCTION: Final = ("function", "calls", "own µs", "with callees µs", "called most by")


_Place = tuple[str, int, str]


@dataclass(slots=True)
class Use:
    """What one thread has used so far, or of that a cell's share."""

    cpu_us: float = 0.0
    queue_us: float = 0.0
    sleeps: float = 0.0
    put_aside: float = 0.0

    def __add__(self, other: "Use") -> "Use":
        return Use(*(mine + its for mine, its in zip(self.row, other.row, strict=True)))

    def since(self, before: "Use", cells: int) -> "Use":
        """A cell's share of what came after `before`."""
        pairs = zip(self.row, before.row, strict=True)
        return Use(*((after - earlier) / cells for after, earlier in pairs))

    @property
    def row(self) -> tuple[float, float, float, float]:
        """All four."""
        return (self.cpu_us, self.queue_us, self.sleeps, self.put_aside)


@dataclass(frozen=True, slots=True)
class Block:
    """What one block of cells took: the waits of the client, and each thread's share by name."""

    waits_ms: list[float]
    threads: dict[str, Use]


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints the tables. Returns the exit code."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
        bench = Bench(quick=False, tmp=Path(tmp), rng=random.Random(1))
        with kernels(bench, FLOW, STOCK) as both:
            for kernel in both:
                for _ in range(50):
                    kernel.execute(options.code)
            taken = in_turn(
                options.blocks,
                bench.rng,
                [lambda _, k=kernel: _block(bench, k, options) for kernel in both],
            )
            profiles = [_profiled(bench, kernel, options) for kernel in both]
    print(f"`{options.code}`, a cell's share of {options.cells * options.blocks:,} cells each:\n")
    for name, blocks in zip(("flow", STOCK_NAME), taken, strict=True):
        print(_threads(name, blocks) + "\n")
    for name, stats in zip(("flow", STOCK_NAME), profiles, strict=True):
        print(_functions(name, stats, options) + "\n")
    return 0


def _block(bench: Bench, kernel: Kernel, options: argparse.Namespace) -> Block:
    """Runs one block of cells, each after the end of the one before."""
    names = _names(bench, kernel)
    rested_cpu_ms(kernel)
    before = _uses(kernel)
    waits_ms = [kernel.execute(options.code).idle_ms for _ in range(options.cells)]
    rested_cpu_ms(kernel)
    after = _uses(kernel)
    threads: dict[str, Use] = {}
    for thread, (system_name, use) in after.items():
        share = use.since(before.get(thread, (system_name, Use()))[1], options.cells)
        name = names.get(thread, system_name)
        threads[name] = threads.get(name, Use()) + share
    return Block(waits_ms, threads)


def _uses(kernel: Kernel) -> dict[int, tuple[str, Use]]:
    """Name for the system and use so far of every thread, by its id."""
    found = {}
    for task in Path(f"/proc/{kernel.process.pid}/task").iterdir():
        try:
            cpu_ns, queue_ns, _ = map(int, (task / "schedstat").read_text("ascii").split())
            status = (task / "status").read_text("utf-8")
            name = (task / "comm").read_text("utf-8").strip()
        except FileNotFoundError:  # it has ended meanwhile
            continue
        put_aside, sleeps = 0, 0
        for is_involuntary, count in _ASLEEP.findall(status):
            if is_involuntary:
                put_aside = int(count)
            else:
                sleeps = int(count)
        found[int(task.name)] = (name, Use(cpu_ns / 1e3, queue_ns / 1e3, sleeps, put_aside))
    return found


def _names(bench: Bench, kernel: Kernel) -> dict[int, str]:
    """What Python calls the threads: the system does not know it before Python 3.14."""
    path = bench.folder("names") / "names.json"
    kernel.execute(_NAMES.format(path=str(path)), silent=True)
    return {int(thread): name for thread, name in orjson.loads(path.read_bytes()).items()}


def _profiled(bench: Bench, kernel: Kernel, options: argparse.Namespace) -> pstats.Stats:
    """The main thread's functions over as many cells again."""
    path = bench.folder("profile") / "profile.out"
    kernel.execute(SWITCH_ON)
    for _ in range(options.cells * options.blocks):
        kernel.execute(options.code)
    kernel.execute(SWITCH_OFF.format(path=str(path)))
    return pstats.Stats(str(path))


def _threads(name: str, blocks: Sequence[Block]) -> str:
    """The threads of one kernel, the dearest first; medians over the blocks."""
    waits = [wait for block in blocks for wait in block.waits_ms]
    low, high = spread(waits)
    seen = sorted({thread for block in blocks for thread in block.threads})
    rows = []
    for thread in seen:
        columns = zip(*(b.threads.get(thread, Use()).row for b in blocks), strict=True)
        rows.append((thread, Use(*map(statistics.median, columns))))
    rows.sort(key=lambda row: -row[1].cpu_us)
    total = sum((use for _, use in rows), Use())
    awake = [row for row in rows if row[1].cpu_us >= _AWAKE_US]
    lines = [
        f"{name}: {statistics.median(waits):.2f} ms until idle ({low:.2f} to {high:.2f})",
        "",
        _line(_PER_THREAD),
        _line(["---"] * len(_PER_THREAD)),
        *(_line([thread, *_numbers(use)]) for thread, use in [*awake, ("all threads", total)]),
    ]
    return "\n".join(lines)


def _numbers(use: Use) -> list[str]:
    return [
        f"{use.cpu_us:,.0f}",
        f"{use.queue_us:,.0f}",
        f"{use.sleeps:.1f}",
        f"{use.put_aside:.2f}",
    ]


def _functions(name: str, stats: pstats.Stats, options: argparse.Namespace) -> str:
    """The functions of the main thread that take most by themselves; its waits are left out."""
    table: dict[_Place, Any] = stats.stats  # type: ignore[attr-defined]  # as documented for dumps
    cells = options.cells * options.blocks
    found = sorted(
        (
            (own_s, all_s, calls, _label(*place), _dearest(callers))
            for place, (_, calls, own_s, all_s, callers) in table.items()
        ),
        reverse=True,
    )
    busy = [row for row in found if not any(wait in row[3] for wait in _WAITS)]
    own_us = sum(row[0] for row in busy) * 1e6 / cells
    calls = sum(row[2] for row in busy) / cells
    lines = [
        f"{name}, main thread under cProfile, without its waits: {own_us:,.0f} µs and "
        f"{calls:,.0f} calls a cell",
        "",
        _line(_PER_FUNCTION),
        _line(["---"] * len(_PER_FUNCTION)),
    ]
    for own_s, all_s, calls, label, caller in busy[: options.rows]:
        times = [f"{taken_s * 1e6 / cells:,.1f}" for taken_s in (own_s, all_s)]
        lines.append(_line([f"`{label}`", f"{calls / cells:.1f}", *times, caller]))
    return "\n".join(lines)


def _dearest(callers: Mapping[_Place, Sequence[float]]) -> str:
    """For whom a function took most of its own time, with the share of that."""
    total = sum(own_s for _, _, own_s, _ in callers.values())
    if not total:
        return ""
    place, (_, _, own_s, _) = max(callers.items(), key=lambda item: item[1][2])
    return f"`{_label(*place)}` {own_s / total:.0%}"


def _label(file: str, line: int, name: str) -> str:
    """Where a function stands, from its package on."""
    if file == "~":
        return name.strip("<>")
    if "/ipykernel_" in file:
        return f"the cell:{line} {name}"
    for root in ("/site-packages/", f"/python{sys.version_info[0]}.{sys.version_info[1]}/"):
        file = file.rpartition(root)[2]
    at = file.find("/flow_kernel/")
    return f"{file[at + 1 :] if at >= 0 else file}:{line} {name}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="where.py", description="Where the time of a cell goes.")
    parser.add_argument("--code", default="1+1", metavar="CODE", help="the cell; default: 1+1")
    parser.add_argument("--cells", type=int, default=100, metavar="N", help="in a block")
    parser.add_argument("--blocks", type=int, default=10, metavar="N", help="of each kernel")
    parser.add_argument("--rows", type=int, default=15, metavar="N", help="of functions")
    return parser


if __name__ == "__main__":
    sys.exit(main())
