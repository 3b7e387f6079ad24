"""Runs steps, each forked from a process that has imported what the step imports.

Built by whoever runs workflows, once for each run or session; used from one event loop.

A step that needs nothing but the standard library shares one process with all of its kind. Each
other set of installed packages has one of its own, made with its first step. One is replaced when
it is old, has forked much, has grown, or when packages were installed since; the one that was used
longest ago goes when there are too many.
"""

import asyncio
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from flow_kernel.workers.steps.contract import StepEnd, StepJob
from flow_kernel.workers.steps.host import StepHost
from flow_kernel.workers.steps.imports import Finder, Imports
from flow_kernel.workers.steps.readying import STANDARD
from flow_kernel.workers.steps.shadows import system_path
from flow_kernel.workers.steps.spawned import Spawned

CAN_FORK: Final = sys.platform.startswith("linux")
"""Elsewhere a fork without exec is unsafe (macOS) or there is none (Windows)."""
_SPARES: Final = 2
_MOST: Final = 4
_OLDEST_S: Final = 3600.0
_MOST_STEPS: Final = 10_000
_GROWN_BYTES: Final = 256_000_000
_LOOK_EVERY: Final = 500
_OURS: Final = "FLOW_"

_Key = tuple[frozenset[str], frozenset[tuple[str, str]]]


@dataclass(slots=True)
class _Kept:
    """A host and what is known of it."""

    host: StepHost
    packages: tuple[int, ...]
    began_s: float = field(default_factory=time.monotonic)
    known: set[str] = field(default_factory=set)
    first_rss_bytes: int | None = None
    has_grown: bool = False


class Hosts:
    """Those of one owner.

    Args:
        most: How many processes are kept.
        spares: How many children each has forked before they are wanted.
    """

    def __init__(self, *, most: int = _MOST, spares: int = _SPARES) -> None:
        self._most = most
        self._spares = spares
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._leaving: set[asyncio.Task[None]] = set()
        self._system = system_path()
        self._finder = Finder(self._system)

    async def run(self, job: StepJob, on_text: Callable[[bytes], None]) -> StepEnd:
        """Run a step to its end; if this is cancelled, the step and all it has started is killed.

        Args:
            job: It.
            on_text: Gets what it writes to stderr, as it comes.

        Raises:
            IsolationUnavailable: No process can be started.
        """
        if not CAN_FORK:
            return await Spawned(reason="this system cannot fork steps").run(job, on_text)
        kept = self._for(job)
        end = await kept.host.run(job, on_text)
        self._look(kept)
        return end

    async def prepare(self, job: StepJob) -> None:
        """Have ready what the step is to be forked from; its run takes less time then.

        Raises:
            IsolationUnavailable: No process can be started.
        """
        if CAN_FORK:
            await self._for(job).host.start()

    async def close(self) -> None:
        """End all of them, and all that they have forked."""
        hosts = [kept.host for kept in self._kept.values()]
        self._kept.clear()
        await asyncio.gather(*(host.close() for host in hosts), *self._leaving)

    # -- inside ------------------------------------------------------------------------------------

    def _for(self, job: StepJob) -> _Kept:
        imports = Imports(standard=(), installed=())
        if job.source is not None:
            imports = self._finder.of(job.source)
        kept = self._host(imports, job.env)
        news = [name for name in imports.standard if name not in kept.known]
        if news:
            kept.known.update(news)
            kept.host.preload(news)
        return kept

    def _host(self, imports: Imports, env: Mapping[str, str]) -> _Kept:
        key = (frozenset(imports.installed), _environment(env, whole=bool(imports.installed)))
        packages = self._packages()
        kept = self._kept.get(key)
        if kept is not None and self._is_done(kept, packages):
            del self._kept[key]
            self._leave(kept)
            kept = None
        if kept is None:
            names = (*imports.standard, *imports.installed)
            own = {name: value for name, value in env.items() if not name.startswith(_OURS)}
            host = StepHost(preload=names, env=own, spares=self._spares)
            kept = _Kept(host=host, packages=packages, known={*names, *STANDARD})
            self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._leave(self._kept.popitem(last=False)[1])
        return kept

    def _is_done(self, kept: _Kept, packages: tuple[int, ...]) -> bool:
        return (
            kept.packages != packages
            or kept.has_grown
            or kept.host.steps >= _MOST_STEPS
            or time.monotonic() - kept.began_s > _OLDEST_S
        )

    def _leave(self, kept: _Kept) -> None:
        """Have it end when its last step has."""
        task = asyncio.get_running_loop().create_task(kept.host.close_when_idle())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _look(self, kept: _Kept) -> None:
        """See, now and then, how large it is."""
        if kept.host.steps % _LOOK_EVERY != 1 or kept.host.pid is None:
            return
        now = _rss_bytes(kept.host.pid)
        if now is not None:
            first = kept.first_rss_bytes = kept.first_rss_bytes or now
            kept.has_grown = now - first > _GROWN_BYTES

    def _packages(self) -> tuple[int, ...]:
        """Changes when a package is installed; 5 us."""
        times = []
        for entry in self._system:
            try:
                times.append(os.stat(entry).st_mtime_ns)  # noqa: PTH116 - on the path of each step
            except OSError:
                times.append(0)
        return tuple(times)


def _rss_bytes(pid: int) -> int | None:
    """What `tree.look_alone` says as well; the first step does not wait for that to be loaded."""
    try:
        with open(f"/proc/{pid}/statm", "rb", 0) as file:  # noqa: PTH123 - half the time
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _environment(env: Mapping[str, str], *, whole: bool) -> frozenset[tuple[str, str]]:
    """What of an environment an interpreter or a package may have looked at when it was loaded."""
    if whole:
        return frozenset(item for item in env.items() if not item[0].startswith(_OURS))
    kinds = ("PYTHON", "LC_", "LANG")
    return frozenset(item for item in env.items() if item[0].startswith(kinds))
