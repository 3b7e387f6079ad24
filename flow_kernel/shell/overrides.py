"""What the kernel puts in place of internals of ipykernel and IPython, and whether it can.

Called by `jupyter flow doctor`. Each module looks by itself when a kernel starts, and leaves what
it finds where that has another shape.
"""

from collections.abc import Callable, Mapping
from typing import Final

from flow_kernel.shell import (
    awaited_interrupts,
    broken_streams,
    flushed_streams,
    lasting_events,
    packed_text,
)
from flow_kernel.shell.selftest import Finding

OVERRIDES: Final[Mapping[str, Callable[[], bool]]] = {
    "interrupts of cells that await": awaited_interrupts.is_usable,
    "streams that a cell closed": broken_streams.is_usable,
    "streams that cannot be flushed": flushed_streams.is_usable,
    "text that cannot be encoded": packed_text.is_usable,
    "callbacks that end nothing else": lasting_events.is_usable,
}


def override_findings() -> list[Finding]:
    """One for each."""
    return [
        Finding(name=name, ok=(ok := is_usable()), detail="ours" if ok else "changed: stock here")
        for name, is_usable in OVERRIDES.items()
    ]
