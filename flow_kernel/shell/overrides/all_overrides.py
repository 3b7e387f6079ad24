"""What the kernel puts in place of internals of ipykernel and IPython, and whether it can.

Called by `jupyter flow doctor`. Each module looks by itself when a kernel starts, and leaves what
it finds where that has another shape.
"""

from collections.abc import Callable, Mapping
from typing import Final

from flow_kernel.shell.channels import (
    iopub,
    own_comms,
    packed_text,
    quick_dispatch,
    quiet_requests,
    reply_way,
    shell_channel,
    short_digests,
)
from flow_kernel.shell.overrides import (
    awaited_interrupts,
    history_batches,
    kept_prints,
    lasting_events,
    once,
    packed_outputs,
    plain_source,
    result_hook,
    worker_overrides,
)
from flow_kernel.shell.streams import broken_streams, flushed_streams, outstream
from flow_kernel.shell.taps.selftest import Finding

OVERRIDES: Final[Mapping[str, Callable[[], bool]]] = {
    "messages without a hop": iopub.is_usable,
    "requests without a hop": shell_channel.is_usable,
    "requests read once": quick_dispatch.is_usable,
    "buttons heard at once": own_comms.is_usable,
    "replies without a hop": reply_way.is_usable,
    "streams that wait for nobody": outstream.is_usable,
    "history in batches": history_batches.is_usable,
    "prints kept in bounds": kept_prints.is_usable,
    "outputs as their texts": packed_outputs.is_usable,
    "requests known by a number": short_digests.is_usable,
    "work of a cell done once": once.is_usable,
    "comms of a busy worker": worker_overrides.is_usable,
    "results under their own request": result_hook.is_usable,
    "interrupts of cells that await": awaited_interrupts.is_usable,
    "streams that a cell closed": broken_streams.is_usable,
    "streams that cannot be flushed": flushed_streams.is_usable,
    "text that cannot be encoded": packed_text.is_usable,
    "callbacks that end nothing else": lasting_events.is_usable,
    "questions beside the kernel's state": quiet_requests.is_usable,
    "sources without IPython's syntax": plain_source.is_usable,
}


def override_findings() -> list[Finding]:
    """One for each."""
    return [
        Finding(name=name, ok=(ok := is_usable()), detail="ours" if ok else "changed: stock here")
        for name, is_usable in OVERRIDES.items()
    ]
