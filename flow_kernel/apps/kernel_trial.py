"""Starts the kernel `flow` as a front end does, runs one cell, and looks for its record.

Called by `doctor`.
"""

import os
import queue
from pathlib import Path
from typing import Final

from jupyter_client.manager import KernelManager

from flow_kernel.apps.kernelspec import NAME, private_transport
from flow_kernel.errors import FlowError
from flow_kernel.records.home import Home
from flow_kernel.records.scan import read_records

_START_S: Final = 60.0
_CELL_S: Final = 20.0


def try_kernel(folder: Path) -> str:
    """Run `1+1` in a kernel whose home is in `folder`.

    Returns:
        What was seen, for people.

    Raises:
        FlowError: The kernel did something else than it should.
        RuntimeError: It did not start.
    """
    home = Home(folder / "home")
    manager = KernelManager(kernel_name=NAME, **private_transport(folder))
    # What the user set for other sessions must not lead the record elsewhere.
    env = {key: value for key, value in os.environ.items() if not key.startswith("FLOW_")}
    with (folder / "output.txt").open("wb") as output:
        manager.start_kernel(
            cwd=str(folder), env={**env, "FLOW_HOME": str(home.root)}, stdout=output, stderr=output
        )
    try:
        facts = _run_cell(manager)
    finally:
        manager.shutdown_kernel(now=False)
        manager.cleanup_resources()
    seq = facts.get("seq")
    cells = [record for record in read_records(home.log_files()) if record.get("kind") == "cell"]
    if [record.get("result") for record in cells] != ["2"]:
        raise FlowError("the cell ran, but its record is not in the log")
    if cells[0].get("seq") != seq:
        raise FlowError("the reply does not carry the number of the record")
    return f"ran 1+1 and found its record (seq {seq})"


def _run_cell(manager: KernelManager) -> dict[str, object]:
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_START_S)
        reply = client.execute_interactive(
            "1+1", timeout=_CELL_S, allow_stdin=False, output_hook=lambda _: None
        )
    except (TimeoutError, queue.Empty):
        raise FlowError("the kernel did not answer in time") from None
    finally:
        client.stop_channels()
    if reply["content"]["status"] != "ok":
        raise FlowError(f"1+1 gave {reply['content'].get('ename')}")
    facts = reply["metadata"].get("flow")
    if not isinstance(facts, dict):
        raise FlowError("the reply carries no facts of the recorder: recording is off")
    return facts
