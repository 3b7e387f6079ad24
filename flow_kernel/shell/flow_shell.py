"""The shell of the Flow kernel: ipykernel's, with our magics.

Made by `shell.kernel`. Libraries look at the name of its class, so it keeps that of ipykernel's.
"""

from contextlib import AbstractContextManager
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell
from traitlets import Type

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.magic_set import register
from flow_kernel.shell.overrides import history_batches, kept_prints, packed_outputs
from flow_kernel.shell.overrides.awaited_interrupts import AwaitingShell
from flow_kernel.shell.overrides.kept_prints import KeptPrints
from flow_kernel.shell.overrides.lasting_events import LastingEventsShell
from flow_kernel.shell.overrides.once import OnceShell
from flow_kernel.shell.overrides.plain_source import PlainSourceShell
from flow_kernel.shell.overrides.result_hook import result_hook
from flow_kernel.shell.streams.flushed_streams import FlushingShell

globals()["__builtins__"] = FROZEN_BUILTINS


class FlowShell(AwaitingShell, LastingEventsShell, FlushingShell, PlainSourceShell, OnceShell):
    """ipykernel's shell, with the `%flow` magic."""

    displayhook_class: Any = Type(result_hook())

    def init_magics(self) -> None:
        """Register the magics of ipykernel and ours."""
        super().init_magics()
        register(self)

    def init_history(self) -> None:
        """Keep the history as IPython does, in batches and in few bytes."""
        self._kept_prints = KeptPrints(self) if kept_prints.is_usable() else None
        if history_batches.is_usable():
            self.history_manager: Any = history_batches.BatchedHistory(shell=self, parent=self)
            self.configurables.append(self.history_manager)
        else:
            super().init_history()
        if packed_outputs.is_usable():
            self.history_manager.outputs = packed_outputs.PackedOutputs()

    def _tee(self, channel: str) -> AbstractContextManager[None]:
        kept = self._kept_prints
        stock: Any = super()._tee if kept is None else kept.tee
        made: AbstractContextManager[None] = stock(channel)
        return made


FlowShell.__name__ = FlowShell.__qualname__ = ZMQInteractiveShell.__name__
FlowShell.__module__ = ZMQInteractiveShell.__module__
