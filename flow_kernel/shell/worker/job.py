"""A job inside its worker: what is made ready before the cell, what is found after it.

Called by `shell.worker.app`.

    request: {"cwd", "path", "env", "count", "inputs": shipment, "outputs": […], "limits": {…},
              "is_inline": true where variables travel in the messages themselves,
              "is_script": true where the code is a script of bash}
    reply:   {"has_arrived": true once all that was sent is here, "changes": …,
              "outputs": shipment, "refused": […], "peak_rss_bytes": …,
              "script": how it ended, see `script.run_script`}
"""

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import CodeType
from typing import Any

from flow_kernel.errors import UsageError
from flow_kernel.records.cell_changes import CellLook, Watches
from flow_kernel.records.changes_wire import to_wire
from flow_kernel.records.plain import one_line
from flow_kernel.records.process import ResidentMemory
from flow_kernel.settings import RecorderSettings
from flow_kernel.shell.taps.compile_tap import CompileTap
from flow_kernel.shell.taps.guard import HeldInterrupts
from flow_kernel.shell.worker.replay import filter_warnings, replay
from flow_kernel.workers import transfer

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]  # the other case


class WorkerJobs:
    """The jobs of one worker, one after the other.

    Args:
        shell: IPython's.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._settings = RecorderSettings()
        self._watches = Watches()
        self._memory = ResidentMemory()
        self._limit: tuple[int, int] | None = None
        self._arena: transfer.Arena | None = None
        self._look: CellLook | None = None
        self._job: Mapping[str, Any] = {}
        self._found: dict[str, Any] = {}
        self._buffers: list[bytes] = []
        CompileTap(shell, self._on_code).install()

    def begin(self, job: Mapping[str, Any], code: str, buffers: Any = ()) -> None:
        """Make ready what `job` brings.

        Args:
            job: What came with the request.
            code: What is about to run.
            buffers: Variables that came with the message itself.

        Raises:
            Exception: A variable cannot be loaded here.
            KeyboardInterrupt: The cell was interrupted before it began.
            UsageError: The directory where it has to run is gone.
        """
        with HeldInterrupts() as held:
            self._job, self._found, self._look = job, {}, None
            self._shell._last_traceback = None  # ipykernel forgets it in cells that await nothing
            self._arrange(job)
            if job.get("memory_bytes"):
                self._limit_memory(job["memory_bytes"])
            namespace = self._shell.user_ns
            if self._arena is not None:
                self._arena.trim()  # what was in it has been received
            if job.get("inputs"):
                transfer.unpack(job["inputs"], buffers, into=namespace)
            self._found["has_arrived"] = True
            filter_warnings(job)
            self._look = CellLook(code, namespace, self._shell.user_ns_hidden)
            self._look.start(self._watches, self._settings)
        if held.was_interrupted:
            raise KeyboardInterrupt

    def refuse(self, error: Exception) -> dict[str, Any]:
        """The job could not be made ready: the content of the reply that says so."""
        self._free_memory()
        self._found = {"is_refused": True}
        text = f"a variable could not be loaded in the worker: {error}"
        if isinstance(error, UsageError):
            text = error.message
        return {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": text,
            "traceback": [f"{type(error).__name__}: {text}; the cell did not run"],
            "execution_count": self._shell.execution_count,
            "user_expressions": {},
            "payload": [],
        }

    def interrupted(self) -> dict[str, Any]:
        """The cell was interrupted outside its code: the content of the reply that says so."""
        self._found["is_refused"] = self._look is None
        return {
            "status": "error",
            "ename": "KeyboardInterrupt",
            "evalue": "",
            "traceback": ["KeyboardInterrupt"],
            "execution_count": self._shell.execution_count,
            "user_expressions": {},
            "payload": [],
        }

    def script_reply(self, ended: dict[str, Any]) -> dict[str, Any]:
        """A script has ended: the content of the reply; the session words what went wrong."""
        self._found["script"] = ended
        reply = {
            "status": "ok",
            "execution_count": self._shell.execution_count - 1,
            "user_expressions": {},
            "payload": [],
        }
        if ended.get("returncode") == 0:
            return reply
        return {**reply, "status": "error", "ename": "ScriptFailed", "evalue": "", "traceback": []}

    def end(self) -> None:
        """The cell has ended: take what it changed, and what is wanted of it.

        An interrupt that comes by now comes too late to stop anything.
        """
        with HeldInterrupts():
            self._free_memory()
            look, self._look = self._look, None
            if look is not None:
                self._found["changes"] = to_wire(look.compare(self._watches, self._settings))
            if names := self._job.get("outputs"):
                self._give_out(names)
            self._found["peak_rss_bytes"] = self._memory.peak()

    def own_imports(self) -> AbstractContextManager[None]:
        """What is imported in the block is ours and of no cell; no code of a user runs there."""
        return self._watches.imports.own()

    def take(self) -> dict[str, Any]:
        """What was found of the last job; empty when it was told already."""
        found, self._found = self._found, {}
        return found

    def take_buffers(self) -> list[bytes]:
        """Variables that go with the reply itself; once."""
        buffers, self._buffers = self._buffers, []
        return buffers

    # -- memory ------------------------------------------------------------------------------------

    def _limit_memory(self, nbytes: int) -> None:
        """Python raises `MemoryError` at the line that wants more than `nbytes`.

        The system counts what is reserved: stacks of threads and arenas that nobody has touched.
        What was reserved before the cell is therefore added, and what of it is used taken off.
        """
        self._limit = limit_data(nbytes)

    def _free_memory(self) -> None:
        before, self._limit = self._limit, None
        if before is not None and resource is not None:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_DATA, before)

    # -- inside ------------------------------------------------------------------------------------

    def _on_code(self, code: CodeType) -> None:
        if self._look is not None:
            self._look.names.add(code)

    def _arrange(self, job: Mapping[str, Any]) -> None:
        if "cwd" in job:
            try:
                os.chdir(job["cwd"])
            except OSError as error:  # it may be gone
                if job.get("is_placed"):
                    shown = one_line(str(job["cwd"]), 200)
                    raise UsageError(
                        f'the workspace "{shown}" cannot be entered: {error.strerror}'
                    ) from None
        if "path" in job:
            sys.path[:] = job["path"]
        replay(job)
        for name, value in job.get("env", {}).items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if job.get("count"):
            self._shell.execution_count = job["count"]

    def _give_out(self, names: list[str]) -> None:
        namespace = self._shell.user_ns
        packed = transfer.pack(
            {name: namespace[name] for name in names if name in namespace}, namespace
        )
        self._found["missing"] = [name for name in names if name not in namespace]
        self._found["refused"] = [list(refused) for refused in packed.refused]
        if self._job.get("is_inline"):
            self._found["outputs"], self._buffers = transfer.inline(packed)
            return
        if self._arena is None:
            self._arena = transfer.Arena()
        self._found["outputs"] = transfer.ship(packed, self._arena)


def limit_data(nbytes: int, *, has_reserved: bool = False) -> tuple[int, int] | None:
    """Have the system refuse what this process wants above `nbytes`.

    Args:
        nbytes: Of all that it uses, without what it has reserved and not used.
        has_reserved: True to count nothing of what it has by now.

    Returns:
        What the limit was; None where there is none to be had.
    """
    if resource is None:
        return None
    before = resource.getrlimit(resource.RLIMIT_DATA)
    reserved, used = _data_bytes()
    soft = nbytes + max(0, reserved - (0 if has_reserved else used))
    if before[1] != resource.RLIM_INFINITY:
        soft = min(soft, before[1])
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, before[1]))
    except (ValueError, OSError):
        return None
    return before


def _data_bytes() -> tuple[int, int]:
    """What this process has reserved for data, and what of it is in memory; from /proc."""
    found = {}
    with suppress(OSError), Path("/proc/self/status").open("rb") as file:
        for line in file:
            name, _, value = line.partition(b":")
            if name in (b"VmData", b"RssAnon"):
                found[name] = int(value.split()[0]) * 1024
    return found.get(b"VmData", 0), found.get(b"RssAnon", 0)
