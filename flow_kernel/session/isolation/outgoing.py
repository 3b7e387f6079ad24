"""What goes to a worker with a cell: its surroundings, its variables, its limits.

Called by `service`. A cell that somebody waits for takes what its worker does not have yet; one in
the background takes everything, as it is when it is begun: cells that come after it change
variables, and nobody knows yet where it will run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.isolation.kinds import Freight, shares_memory
from flow_kernel.session.isolation.sent import Sent, of_process
from flow_kernel.session.isolation.stillness import Stillness
from flow_kernel.workers import transfer
from flow_kernel.workers.here import Environment, directory, search_path
from flow_kernel.workers.job import JOB, Job
from flow_kernel.workers.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What goes with a cell, wherever it will run.

    Attributes:
        facts: What the worker is told.
        packed: Its variables; None for none.
        is_apart: True where no worker's book says what was sent.
    """

    facts: Mapping[str, Any]
    packed: transfer.Packed | None
    is_apart: bool = False


class Outgoing:
    """See the module.

    Args:
        still: Whether variables may have changed.
        tell: Says a sentence to the person.
    """

    def __init__(self, still: Stillness, tell: Callable[[str], None]) -> None:
        self._still = still
        self._tell = tell
        self._environment = Environment()

    def prepared(self, cell: IsolatedCell, names: Sequence[str], sent: Sent) -> Prepared:
        """What goes with a cell to a worker that knows what `sent` says; in the cell's thread."""
        around = of_process(has_seeded=self._still.has_seeded, has_displays=cell.has_displays)
        cwd, path = cell.directory or directory(), search_path()
        if cell.directory:
            path.insert(0, cwd)
        facts = sent.surroundings(
            {**around, "cwd": cwd, "path": path, "env": self._environment.now()}
        )
        if cell.directory:  # also where it was told before: a cell may have left it
            facts |= {"cwd": cwd, "is_placed": True}
        if cell.count is not None:
            facts["count"] = cell.count
        if cell.outputs:
            facts["outputs"] = list(cell.outputs)
        if cell.limits.memory_bytes is not None:
            facts["memory_bytes"] = cell.limits.memory_bytes
        if cell.is_script:
            facts["is_script"] = True
        if cell.holds_state:
            facts["holds_state"] = True
        return Prepared(facts=facts, packed=self._pack(sent, cell, names) if names else None)

    def apart(self, cell: IsolatedCell, names: Sequence[str], *, is_far: bool) -> Prepared:
        """What goes with a cell in the background; nothing of it is memory of the session."""
        prepared = self.prepared(cell, names, Sent({}, is_far=is_far))
        packed = prepared.packed
        if packed is not None:
            copies = tuple(one._replace(view=memoryview(bytes(one.view))) for one in packed.buffers)
            packed = replace(packed, stream=memoryview(bytes(packed.stream)), buffers=copies)
        return replace(prepared, packed=packed, is_apart=True)

    def job(self, cell: IsolatedCell, prepared: Prepared, worker: Worker, freight: Freight) -> Job:
        """The request to a worker."""
        facts = dict(prepared.facts)
        if not shares_memory(worker):
            facts["is_inline"] = True
        buffers: Sequence[bytes] = ()
        if prepared.packed is not None:
            facts["inputs"], buffers = freight.load(prepared.packed, worker)
        return Job(
            header=dict(cell.header),
            content={
                "code": cell.code,
                "silent": cell.is_silent,
                "store_history": cell.has_history,
                "user_expressions": {},
                "allow_stdin": cell.can_ask,
                # The session aborts what is queued behind an error; here that is a job of later.
                "stop_on_error": False,
            },
            metadata={JOB: facts},
            buffers=buffers,
        )

    def _pack(self, sent: Sent, cell: IsolatedCell, names: Sequence[str]) -> transfer.Packed | None:
        is_named = not isinstance(cell.inputs, str)
        packed = sent.news(names, cell.namespace, self._still, is_named=is_named)
        if packed is None:
            return None
        for refused in packed.refused:
            self._tell(
                f"{refused.name} ({refused.type}) was not sent to the worker: {refused.reason}"
            )
        return packed if packed.names else None
