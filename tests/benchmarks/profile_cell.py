"""Where the recorder's time in one cell goes, function by function, in a real kernel.

Called by hand when something is to be made faster:

    python tests/benchmarks/profile_cell.py [--variables 200] [--cells 400] [--code CODE]

cProfile runs in the kernel's main thread, switched on by one cell and off by another. Counted are
our functions, and what they call outside of us and of the kernel that we wrap (builtins, the
standard library). The profiler makes every call slower: the shares are right, the sum is too high;
the records' own `recorder_us`, taken without a profiler, stands below.
"""

import argparse
import pstats
import random
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness import Bench
from live import FLOW
from recorder_cpu import CELLS, FILL, recorder_ms
from together import kernels

SWITCH_ON: Final = "import cProfile\n_profile = cProfile.Profile()\n_profile.enable()"
SWITCH_OFF: Final = "_profile.disable()\n_profile.dump_stats({path!r})"
_OURS: Final = "/flow_kernel/"
# What the kernel would do without us, although one of our overrides calls it.
_WRAPPED: Final = (
    "/ipykernel/",
    "/IPython/",
    "/jupyter_client/",
    "/asyncio/",
    "/tornado/",
    "/traitlets/",
    "<ipython-",
    "codeop.py",
    "builtins.compile",
)

_Place = tuple[str, int, str]


@dataclass(slots=True)
class Share:
    """One function of ours: calls, its own time, and that of what it calls outside of us."""

    name: str
    calls: float = 0.0
    own_us: float = 0.0
    callees_us: float = 0.0
    callees: list[tuple[float, str]] = field(default_factory=list)

    @property
    def total_us(self) -> float:
        """What it costs with what it calls, other functions of ours left out."""
        return self.own_us + self.callees_us

    @property
    def dearest_callee(self) -> str:
        """The one that takes most of it, when that is a microsecond or more."""
        took_us, name = max(self.callees, default=(0.0, ""))
        return f"{name.strip('<>')} {took_us:.1f}" if took_us >= 1 else ""


def main(arguments: list[str] | None = None) -> int:
    """Profiles, prints the table. Returns the exit code."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
        bench = Bench(quick=False, tmp=Path(tmp), rng=random.Random(1))
        codes = (options.code,) if options.code else CELLS
        plain_us = _run(bench, options, codes, None)
        path = Path(tmp) / "profile.out"
        _run(bench, options, codes, path)
        found = shares(pstats.Stats(str(path)), options.cells)
    print(_table(found, options.rows))
    print(
        f"\n{options.cells} cells at {options.variables:,} variables;"
        f" recorder_us without the profiler: {plain_us:.0f} (median)"
    )
    return 0


def _run(
    bench: Bench, options: argparse.Namespace, codes: tuple[str, ...], profile: Path | None
) -> float:
    """Runs the cells, profiled into `profile`. Returns the median of recorder_us."""
    with kernels(bench, FLOW) as (kernel,):
        kernel.execute(FILL.format(count=options.variables))
        for turn in range(50):
            kernel.execute(codes[turn % len(codes)])
        if profile is not None:
            kernel.execute(SWITCH_ON)
        for turn in range(options.cells):
            kernel.execute(codes[turn % len(codes)])
        if profile is not None:
            kernel.execute(SWITCH_OFF.format(path=str(profile)))
        own = list(recorder_ms(kernel.folder / ".flow"))
    return statistics.median(own[-options.cells :]) * 1000


def shares(stats: pstats.Stats, cells: int) -> list[Share]:
    """What each function of ours costs a cell, the dearest first."""
    table: dict[_Place, Any] = stats.stats  # type: ignore[attr-defined]  # as documented for dumps
    found: dict[_Place, Share] = {}
    for place, (_, calls, own_s, _, callers) in table.items():
        if _OURS in place[0]:
            share = found.setdefault(place, Share(_label(place)))
            share.calls += calls / cells
            share.own_us += own_s * 1e6 / cells
        elif not any(part in place[0] or part in place[2] for part in _WRAPPED):
            for caller, (_, _, _, with_callees_s) in callers.items():
                if _OURS in caller[0]:
                    share = found.setdefault(caller, Share(_label(caller)))
                    took_us = with_callees_s * 1e6 / cells
                    share.callees_us += took_us
                    share.callees.append((took_us, place[2]))
    return sorted(found.values(), key=lambda share: -share.total_us)


def _label(place: _Place) -> str:
    file, line, name = place
    return f"{file.partition(_OURS)[2]}:{line} {name}"


def _table(found: list[Share], rows: int) -> str:
    total = Share(
        "all of ours",
        sum(share.calls for share in found),
        sum(share.own_us for share in found),
        sum(share.callees_us for share in found),
    )
    width = max(len(share.name) for share in [*found[:rows], total])
    head = f"{'per cell':{width}}  {'calls':>7}  {'own us':>7}  {'callees':>7}  {'sum us':>7}"
    lines = [f"{head}  dearest call"]
    lines += [
        f"{share.name:{width}}  {share.calls:7.2f}  {share.own_us:7.1f}"
        f"  {share.callees_us:7.1f}  {share.total_us:7.1f}  {share.dearest_callee}".rstrip()
        for share in [*found[:rows], total]
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="profile_cell.py", description="The recorder's share.")
    parser.add_argument("--variables", type=int, default=200, metavar="N")
    parser.add_argument("--cells", type=int, default=400, metavar="N")
    parser.add_argument("--code", metavar="CODE", help="one cell instead of four small ones")
    parser.add_argument("--rows", type=int, default=40, metavar="N")
    return parser


if __name__ == "__main__":
    sys.exit(main())
