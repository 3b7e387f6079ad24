"""Other recorders beside us, each in an environment of its own that this script makes.

Called by hand and by `make bench-peers`:

    python tests/benchmarks/peers.py [NAME…] [--json FILE] [--quick] [--setup-only]

Four kernels are alive together and take turns: flow, the stock kernel of our environment, the peer,
and the stock kernel of the peer's environment. What a recorder costs is what its kernel uses more
than the stock kernel beside it.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import traceback
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import kept
import table
from documents import Document, begin
from harness import Bench, Figure, Pairs, Result, in_turn, side_by_side
from live import FLOW, STOCK, Kernel
from machine import machine
from recorder_cpu import CELLS, FILL
from together import Cell, kernels, run_cell, steps

HERE: Final = Path(__file__).parent
ENVIRONMENTS: Final = HERE.parent.parent / ".venvs"
SIZES: Final = (200, 5_000)
_BUDGET_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another recorder: its environment, the module of its kernel, the cell that switches it on."""

    name: str
    title: str
    environment: str
    module: str = "ipykernel_launcher"
    first_cell: str | None = None

    def argv(self, module: str) -> tuple[str, ...]:
        """The command line of a kernel in its environment."""
        python = str(ENVIRONMENTS / self.environment / "bin" / "python")
        return (python, "-m", module, "-f", "{connection_file}")


PEERS: Final = (
    Peer(name="ipyflow", title="ipyflow", environment="ipyflow", module="ipyflow.kernel"),
    Peer(
        name="kishu_track",
        title="Kishu, following only",
        environment="kishu",
        first_cell="kishu_track.py",
    ),
    Peer(name="kishu", title="Kishu", environment="kishu", first_cell="kishu_commit.py"),
)


def main(arguments: list[str] | None = None) -> int:
    """Makes the environments, measures, prints the table. Returns the exit code."""
    options = _parser().parse_args(arguments)
    chosen = [peer for peer in PEERS if not options.names or peer.name in options.names]
    if len(chosen) < len(set(options.names)):
        print("the peers are " + ", ".join(peer.name for peer in PEERS), file=sys.stderr)
        return 2
    kept.load(options.results)
    document: Document = begin("peers", machine(), quick=options.quick)
    results: list[dict[str, object]] = []
    failed: dict[str, str] = {}
    for peer in chosen:
        try:
            set_up(peer.environment)
            if not options.setup_only:
                found = measure(peer, quick=options.quick)
                results += [{**each.as_json(), "benchmark": peer.name} for each in found]
        except Exception as error:  # noqa: BLE001  # one peer must not stop the others
            traceback.print_exc()
            failed[peer.name] = f"{type(error).__name__}: {error}"
    if results:
        print(table.plain(results))
    for name, why in failed.items():
        print(f"{name} could not be measured: {why}", file=sys.stderr)
    document |= {
        "known": [peer.name for peer in PEERS],
        "asked": [peer.name for peer in chosen],
        "results": results,
        "failed": failed,
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if not options.setup_only:
        kept.keep(document, options.results)
    return 1 if failed else 0


def pinned(name: str) -> list[str]:
    """What `peers/<name>.txt` pins."""
    return (HERE / "peers" / f"{name}.txt").read_text(encoding="utf-8").split()


def set_up(name: str, packages: Sequence[str] | None = None, *, has_kernel: bool = True) -> None:
    """Makes `.venvs/<name>` with what `peers/<name>.txt` pins.

    Quick and harmless when it is already there.

    Args:
        name: Of the environment.
        packages: What is installed instead of what the file pins.
        has_kernel: Our ipykernel is in it as well.

    Raises:
        RuntimeError: pip could not install it; the message is the end of what pip said.
    """
    folder = ENVIRONMENTS / name
    wanted = list(pinned(name) if packages is None else packages)
    if has_kernel:
        wanted.append(f"ipykernel=={version('ipykernel')}")
    stamp = folder / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text(encoding="utf-8")) == wanted:
        return
    print(f"installing {' '.join(wanted)} into {folder} …", file=sys.stderr, flush=True)
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip install {' '.join(wanted)}: {done.stderr.strip()[-600:]}")
    stamp.write_text(json.dumps(wanted), encoding="utf-8")


def measure(peer: Peer, *, quick: bool) -> list[Result]:
    """CPU and waiting time per cell at each size of the namespace, ours beside the peer's."""
    results: list[Result] = []
    for variables in SIZES:
        print(f"{peer.name} at {variables} variables …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
            bench = Bench(quick=quick, tmp=Path(tmp), rng=random.Random(1))
            results += _at_size(bench, peer, variables)
    return results


def _at_size(bench: Bench, peer: Peer, variables: int) -> list[Result]:
    commands = (FLOW, STOCK, peer.argv(peer.module), peer.argv("ipykernel_launcher"))
    with kernels(bench, *commands) as alive:
        if peer.first_cell is not None:
            script = (HERE / "peers" / peer.first_cell).read_text(encoding="utf-8")
            alive[2].execute(script)
        for kernel in alive:
            kernel.execute(FILL.format(count=variables), timeout_s=300)
            for code in CELLS:
                kernel.execute(code, timeout_s=300)
        columns = in_turn(
            bench.count(200, 3),
            bench.rng,
            [_runner(kernel) for kernel in alive],
            budget_s=_BUDGET_S,
        )
    cpu = [steps([cell.cpu_ms_before for cell in column]) for column in columns]
    waits = [[cell.idle_ms for cell in column[:-1]] for column in columns]
    at = f"at {variables:,} variables"
    return [
        side_by_side(
            Figure(name=f"{peer.name}_cpu_{variables}", title=f"CPU per cell {at}", unit="ms"),
            Pairs(_minus(cpu[0], cpu[1]), _minus(cpu[2], cpu[3])),
            peer=peer.title,
            note="on top of stock ipykernel in the same environment",
        ),
        side_by_side(
            Figure(name=f"{peer.name}_wait_{variables}", title=f"wait per cell {at}", unit="ms"),
            Pairs(_minus(waits[0], waits[1]), _minus(waits[2], waits[3])),
            peer=peer.title,
            note="on top of stock ipykernel in the same environment",
        ),
    ]


def _runner(kernel: Kernel) -> Callable[[int], Cell]:
    return lambda turn: run_cell(kernel, CELLS[turn % len(CELLS)])


def _minus(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(left, right, strict=True)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="peers.py", description="Other recorders beside flow.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--quick", action="store_true", help="few turns: figures mean nothing")
    parser.add_argument("--setup-only", action="store_true", help="make the environments, stop")
    kept.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(kept.guarded(main))
