"""How fast a program that starts kernels gets a further one, where it forks them.

Called by `run.py`, which has it run itself as a program of its own, as Jupyter Server is one:

    python forked_start.py TURNS

Both kernels are started by jupyter_client, and asked by the client of `live`, which connects at
once; ours is installed with `--zygote`. The first one of each kind is not counted: it starts the
zygote.
"""

import json
import os
import subprocess
import sys
import time
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, pairs_of, side_by_side
from jupyter_client import KernelManager
from live import Client, cell_content, environment
from together import STOCK_NAME

from flow_kernel.apps import kernelspec

_OURS: Final = "forked"
_STOCK: Final = "python3"
_FIGURES: Final = (
    Figure(
        name="forked_start_kernel_info",
        title="a further kernel of a server, forked, to its kernel_info_reply",
        unit="ms",
        target=Target(at_most=0.5, of="ratio"),
    ),
    Figure(
        name="forked_start_execute",
        title="to its first execute_reply",
        unit="ms",
        target=Target(at_most=0.5, of="ratio"),
    ),
)


def forked_start(bench: Bench) -> list[Result]:
    """From the start of a kernel to its first answers, through jupyter_client."""
    folder = bench.folder("forked")
    kernelspec.install(_OURS, prefix=str(folder), is_forked=True)
    ran = subprocess.run(
        [sys.executable, __file__, str(bench.count(20, 1))],
        env={**environment(folder, {}), "JUPYTER_PATH": str(folder / "share" / "jupyter")},
        cwd=folder,
        capture_output=True,
        check=True,
    )
    taken = json.loads(ran.stdout.splitlines()[-1])
    return [
        side_by_side(
            figure,
            pairs_of([(mine[column], other[column]) for mine, other in taken]),
            peer=STOCK_NAME,
        )
        for column, figure in enumerate(_FIGURES)
    ]


def main() -> None:
    """Start kernels in turn, and print what each took."""
    for name in (_OURS, _STOCK):
        _start(name)
    taken = []
    for turn in range(int(sys.argv[1])):
        names = (_OURS, _STOCK) if turn % 2 else (_STOCK, _OURS)
        took = {name: _start(name) for name in names}
        taken.append((took[_OURS], took[_STOCK]))
    print(json.dumps(taken), flush=True)


def _start(name: str) -> tuple[float, float]:
    manager = KernelManager(kernel_name=name)
    started = time.perf_counter()
    manager.start_kernel(env=dict(os.environ))
    connection = manager.get_connection_info()
    client = Client({**connection, "key": connection["key"].decode()})
    try:
        info_at = client.reply_at("kernel_info_request", {})
        cell_at = client.reply_at("execute_request", cell_content("1+1"))
    finally:
        client.close()
        manager.shutdown_kernel()
    return (info_at - started) * 1000, (cell_at - started) * 1000


BENCHMARKS: Final = (
    Benchmark(name="forked_start", about="start of a forked kernel", run=forked_start),
)

if __name__ == "__main__":
    main()
