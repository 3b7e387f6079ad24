"""A program that starts kernels as Jupyter Server does: run by `test_forked_kernels`.

    python -m tests.forking_server COUNT CELL…      each cell in each of COUNT kernels, one by one

Prints a JSON list with one list of results for each kernel. Some cells are no code: RESTART and DIE
do that to the kernel, HOLD prints its process and waits; a cell that prints `sleeping` is
interrupted. Cells see the number of their kernel as
`NUMBER` in the environment, with which the variable `EARLY_<n>` of this program, `NAME=VALUE`, goes
to kernel n as well.
"""

import json
import os
import sys
from typing import Any

from jupyter_client import KernelManager

from tests.kernels import DEADLINE_S


def main() -> None:
    """Start them, and print."""
    count, *cells = sys.argv[1:]
    print(json.dumps([_results(number, cells) for number in range(int(count))]), flush=True)


def _results(number: int, cells: list[str]) -> list[str | None]:
    name, _, value = os.environ.get(f"EARLY_{number}", "").partition("=")
    env = {**os.environ, "NUMBER": str(number), **({name: value} if name else {})}
    manager = KernelManager(kernel_name="forked")
    manager.start_kernel(env=env)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=DEADLINE_S)
        return [_result(manager, client, cell) for cell in cells]
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def _result(manager: Any, client: Any, cell: str) -> str | None:
    if cell == "HOLD":  # until it is killed
        print(manager.provisioner.pid, flush=True)
        sys.stdin.read()
    if cell == "DIE":
        client.execute("import os; os.kill(os.getpid(), 9)")
        manager.provisioner.process.wait(DEADLINE_S)
        return str(manager.provisioner.process.poll())
    if cell == "RESTART":
        manager.restart_kernel(now=False)
        client.wait_for_ready(timeout=DEADLINE_S)
        return None
    found: list[str | None] = [None]
    said: list[str] = []

    def note(message: Any) -> None:
        content = message["content"]
        if message["msg_type"] == "execute_result":
            found[0] = content["data"]["text/plain"]
        elif message["msg_type"] == "error":
            found[0] = f"{content['ename']}: {content['evalue']}"
        elif message["msg_type"] == "stream":
            said.append(content["text"])  # in however many pieces
            if "".join(said) == "sleeping\n":
                manager.interrupt_kernel()

    client.execute_interactive(cell, timeout=DEADLINE_S, output_hook=note)
    return found[0]


if __name__ == "__main__":
    main()
