"""Runs one cell in a kernel that lives, through its shell channel, and gives what it answered.

Called by `rollbacks`.
"""

import time
from typing import Any, Final

import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from flow_kernel.errors import FlowError, KernelGone
from flow_kernel.records.lease import Lease
from flow_kernel.records.process import is_alive, this_process

_SLICE_S: Final = 0.2


def run_cell(lease: Lease, code: str, *, is_recorded: bool, timeout_s: float) -> str:
    """The text of what the cell answered.

    Args:
        lease: Of the session.
        code: What to run.
        is_recorded: True for a cell as people run it, with a number and a record.
        timeout_s: How long it may take, with what runs before it.

    Raises:
        KernelGone: The kernel has ended, or has not answered in time.
        FlowError: The cell failed.
    """
    context = zmq.Context()
    client = BlockingKernelClient(context=context)
    try:
        try:
            client.load_connection_file(lease.connection_file)
        except (OSError, ValueError, KeyError) as error:
            raise KernelGone(f"the kernel cannot be reached ({error})") from None
        client.start_channels(stdin=False, hb=False, control=False)
        # What is published before the subscription is there is never seen.
        client.wait_for_ready(timeout=timeout_s)
        request = client.execute(
            code, store_history=is_recorded, allow_stdin=False, stop_on_error=False
        )
        return _answer(client, request, lease, timeout_s)
    except RuntimeError as error:
        if isinstance(error, FlowError):
            raise
        raise KernelGone(f"the kernel does not answer ({error})") from None
    finally:
        client.stop_channels()
        context.destroy(0)


def _answer(client: Any, request: str, lease: Lease, timeout_s: float) -> str:
    here = this_process()
    until_s = time.monotonic() + timeout_s
    said: list[str] = []
    while time.monotonic() < until_s:
        if not client.iopub_channel.socket.poll(int(_SLICE_S * 1000)):
            if not is_alive(lease.process, here):
                raise KernelGone("the kernel has ended")
            continue
        message = client.get_iopub_msg(timeout=_SLICE_S)
        if message["parent_header"].get("msg_id") != request:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind in ("execute_result", "display_data"):
            said.append(str(content["data"].get("text/plain", "")))
        elif kind == "stream":
            said.append(str(content["text"]).rstrip("\n"))
        elif kind == "error":
            raise FlowError(f"{content['ename']}: {content['evalue']}")
        elif kind == "status" and content["execution_state"] == "idle":
            return "\n".join(said)
    raise KernelGone(f"the kernel did not answer within {timeout_s:g} s")
