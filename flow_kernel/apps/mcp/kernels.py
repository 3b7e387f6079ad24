"""Which kernel the server works in: one that runs, or its own; another one when it has died.

Made by `verb`; asked by each tool for the connection.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from flow_kernel.apps.control_client import find_kernel
from flow_kernel.apps.mcp.link import KernelLink
from flow_kernel.errors import KernelGone, NotFound
from flow_kernel.records.home import Home
from flow_kernel.records.lease import Lease, living
from flow_kernel.records.plain import one_line
from flow_kernel.records.process import is_alive, signal_name, this_process
from flow_kernel.records.recent import recent_records
from flow_kernel.session.deaths import explain_end, logs_of

if TYPE_CHECKING:
    from flow_kernel.apps.mcp.own_kernel import OwnKernel

_TOLD_S: Final = 1.0
_TICK_S: Final = 0.02
_READ_BYTES: Final = 2**21
_OUTPUT_CHARS: Final = 300


class Kernels:
    """The kernel of one server.

    Args:
        home: Where sessions are looked for.
        env: Of a kernel of our own.
        word: What the kernel is named by; empty for the newest.
        is_new: True for one of our own, whatever else runs.

    Attributes:
        home: Where the session records.
    """

    def __init__(self, home: Home, *, env: Mapping[str, str], word: str, is_new: bool) -> None:
        self.home: Home = home
        self._env = env
        self._word = word
        self._is_new = is_new
        self._own: OwnKernel | None = None
        self._own_session = ""
        self._lease: Lease | None = None
        self._link: KernelLink | None = None
        self._notes: list[str] = []
        self._lock = asyncio.Lock()
        self._opening: asyncio.Task[KernelLink] | None = None
        self._works: set[asyncio.Task[KernelLink]] = set()
        # Short, because the name of a socket is.
        self._folder = Path(tempfile.mkdtemp(prefix="flow-"))

    def begin(self) -> None:
        """Find the kernel, or start one; it need not answer yet.

        Raises:
            NotFound: None of that name runs.
        """
        if not self._is_new:
            try:
                self._lease = find_kernel(self.home, self._word)
                return
            except NotFound:
                if self._word:
                    raise
        self._start()

    async def link(self) -> KernelLink:
        """The connection to the living kernel; a dead one of our own is replaced by a new one.

        Raises:
            KernelGone: There is none.
        """
        link = self._link
        if link is not None and not link.death and not self._lock.locked():
            return link
        if self._opening is None or self._opening.done():
            self._opening = self._begun(self._living())
        return await asyncio.shield(self._opening)

    async def attach(self, word: str) -> KernelLink:
        """Work in another kernel from now on; one of our own goes on until the server ends.

        Raises:
            NotFound: None of that name lives.
            KernelGone: It does not answer.
        """
        lease = await asyncio.to_thread(find_kernel, self.home, word)
        return await asyncio.shield(self._begun(self._changed(lease)))

    def notes(self) -> list[str]:
        """What the agent has not been told yet."""
        notes, self._notes = self._notes, []
        return notes

    def give_up(self) -> None:
        """The server ends: no thread waits for a kernel any longer."""
        if self._own is not None:
            self._own.give_up()

    async def close_link(self) -> None:
        """Disconnect, while the loop still runs."""
        works = list(self._works)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await self._drop_link()

    def close(self) -> None:
        """End the kernel of our own; harmless the second time."""
        own, self._own = self._own, None
        if own is not None:
            own.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------------------------

    def _begun(self, work: Coroutine[Any, Any, KernelLink]) -> asyncio.Task[KernelLink]:
        """Done to its end: a caller who gives up would leave half a connection behind."""
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may be alone
        return task

    async def _living(self) -> KernelLink:
        async with self._lock:
            if self._link is not None and not self._link.death:
                return self._link
            if self._link is not None:
                await self._replace(self._link)
            try:
                self._link = await self._opened()
            except KernelGone:
                await self._drop_dead()
                self._link = await self._opened()
            return self._link

    async def _changed(self, lease: Lease) -> KernelLink:
        async with self._lock:
            old = self._link
            if old is not None and not old.death and old.lease.session == lease.session:
                return old
            self._link = link = await self._open(lease)
            self._lease = lease
            if old is not None:
                await old.close()
            return link

    async def _drop_link(self) -> None:
        if self._link is not None:
            await self._link.close()
            self._link = None

    def _start(self) -> None:
        from flow_kernel.apps.mcp.own_kernel import OwnKernel  # 0.1 s: what starts kernels

        self._own = OwnKernel(Path(tempfile.mkdtemp(dir=self._folder)), env=self._env)
        self._own_session = ""

    async def _opened(self) -> KernelLink:
        if self._lease is None and self._own is not None:
            lease, root = await asyncio.to_thread(self._own.ready)
            self._lease, self._own_session = lease, lease.session
            self.home = Home(root)
        if self._lease is None:
            raise KernelGone("no kernel runs", hint="open a notebook with the kernel flow")
        return await self._open(self._lease)

    async def _open(self, lease: Lease) -> KernelLink:
        own = self._own if lease.session == self._own_session else None
        link = KernelLink(lease, partial(self._why, lease, own))
        try:
            await link.open()
            if own is not None:
                told = await link.ask("register")
                link.events.key = bytes.fromhex(str(told["key"]))
                link.events.session, link.events.nonce = str(told["session"]), str(told["nonce"])
                seq = told["seq"]
                link.events.latest = seq if isinstance(seq, int) else 0
        except BaseException as error:
            await link.close()
            if isinstance(error, OSError):  # its file went with it
                raise KernelGone(f"the kernel cannot be reached ({error})") from None
            raise
        return link

    async def _drop_dead(self) -> None:
        """Find or start another kernel, where there is none or it died before it was reached.

        Raises:
            KernelGone: The one that does not answer lives.
        """
        is_own = self._lease is None or self._lease.session == self._own_session
        if is_own and self._own is not None and self._own.exit_code is None:
            raise KernelGone("the kernel does not answer")
        if self._lease is not None and is_alive(self._lease.process, this_process()):
            raise KernelGone("the kernel does not answer")
        self._lease = None
        if is_own:
            await self._end_own()
        await asyncio.to_thread(self.begin)

    async def _replace(self, dead: KernelLink) -> None:
        """Find who follows a kernel that has died."""
        old = dead.lease
        if self._own is not None and old.session == self._own_session:
            await self._drop_link()
            self._lease = None
            await self._end_own()
            await asyncio.to_thread(self._start)
        else:
            following = await asyncio.to_thread(self._following, old)
            if following is None:
                raise KernelGone(
                    f"{dead.death}; nobody has started it again yet",
                    hint="restart it in the notebook, or attach to another one",
                )
            await self._drop_link()
            self._lease = following
        self._notes.append(f"{dead.death}; this is a new kernel: the variables of the old are gone")

    def _following(self, old: Lease) -> Lease | None:
        leases = [each for each in living(self.home.run_dir) if each.connection_file]
        same = [each for each in leases if each.connection_file == old.connection_file]
        if same:
            return same[-1]
        try:
            return find_kernel(self.home, self._word)
        except NotFound:
            return None

    async def _end_own(self) -> None:
        own, self._own, self._own_session = self._own, None, ""
        if own is not None:
            await asyncio.to_thread(own.close)

    def _why(self, lease: Lease, own: "OwnKernel | None") -> str:
        """Why a kernel has ended, in a sentence; waits for whoever writes its record."""
        code = None if own is None else own.exit_code
        name = signal_name(-code) if code is not None and code < 0 else ""
        deadline_s = time.monotonic() + _TOLD_S
        while True:
            record = self._death_record(lease)
            if record is not None:
                return _sentence(record, name)
            if (self.home.run_dir / f"{lease.session}.lease").exists():
                death = explain_end(self.home, lease)
                output = death.words.output
                told = {"reason": death.reason, "detail": death.detail, "last_output": output}
                return _sentence(told, name)
            if time.monotonic() > deadline_s:
                ended = f"exit code {code}" if code else "it was shut down"
                return f"the kernel has ended: {name or ended}"
            time.sleep(_TICK_S)

    def _death_record(self, lease: Lease) -> dict[str, object] | None:
        found = recent_records(
            logs_of(self.home, lease),
            lease.session,
            limit=1,
            kinds=("death",),
            budget_bytes=_READ_BYTES,
        )
        return found.records[-1] if found.records else None


def _sentence(told: Mapping[str, object], name: str) -> str:
    by = f" by {name}" if name else ""
    said = one_line(str(told.get("last_output") or "").strip()[-_OUTPUT_CHARS:], _OUTPUT_CHARS)
    last = f"; last output: {said}" if said else ""
    return f"the kernel died: {told.get('reason')}{by} ({told.get('detail')}){last}"
