"""The composition root: the only file that picks the concrete parts of a session.

Called by `shell.attach` for the kernel and for the extension alike.

A home that cannot be written never stops a session: it is said once, and recording goes on in
memory.
"""

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from flow_kernel.errors import FlowError
from flow_kernel.records.headroom import Headroom
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.kept_outputs import OutputKeeper
from flow_kernel.records.lease import is_owned
from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.records.process import ResidentMemory, peak_rss_bytes
from flow_kernel.records.quick_turns import QuickTurns
from flow_kernel.records.tail import OutputTail
from flow_kernel.session.announcer import MODES, Announcer, Emit, Scalar
from flow_kernel.session.approval_waits import Waits
from flow_kernel.session.checkpoints.errands import Errands, Wish
from flow_kernel.session.checkpoints.tracking import Tracking
from flow_kernel.session.deferred_redactor import DeferredRedactor
from flow_kernel.session.history import History
from flow_kernel.session.identity import identify
from flow_kernel.session.isolation.lazily import LazyIsolation
from flow_kernel.session.isolation.parts import IsolationParts
from flow_kernel.session.isolation.stillness import Stillness
from flow_kernel.session.lazy_beside import LazyBeside
from flow_kernel.session.memory_watch import MemoryWatch
from flow_kernel.session.notices import Notices
from flow_kernel.session.place import Whereabouts
from flow_kernel.session.presence import Presence
from flow_kernel.session.recorder import Recorder
from flow_kernel.session.sealing import RecorderParts
from flow_kernel.session.session import Session
from flow_kernel.session.withdrawn import Withdrawn
from flow_kernel.settings import Settings

if TYPE_CHECKING:
    from flow_kernel.session.approval_buttons import Buttons
    from flow_kernel.session.approval_parts import Prompter
    from flow_kernel.session.approvals import Approvals
    from flow_kernel.session.assembly_state import StateParts
    from flow_kernel.session.checkpoints.automatic import Automatic
    from flow_kernel.session.checkpoints.surroundings import Surroundings
    from flow_kernel.session.isolation.ground import Ground
    from flow_kernel.session.steps import ShowProgress

T = TypeVar("T")


def assemble(  # noqa: PLR0913 - the shell passes them once, each by name
    home: Home,
    *,
    env: Mapping[str, str],
    settings: Settings,
    notebook: str = "",
    show_progress: "ShowProgress | None" = None,
    prompter: "Prompter | None" = None,
    around: "Surroundings | None" = None,
    ground: "Ground | None" = None,
    connection_file: str = "",
    buttons: "Buttons | None" = None,
    turns: QuickTurns | None = None,
) -> Session:
    """A session that records into `home`.

    Args:
        home: Where; it is created when it can be.
        env: The environment of the process.
        settings: What to record and how.
        notebook: What the next kernel of the same notebook is recognised by; empty when nothing is
            known, and a task is then not resumed by itself.
        show_progress: Draws the progress of steps; nobody does by default.
        prompter: Asks the person in the cell itself; None where there is no such way.
        around: What checkpoints need of the shell; None where there are none.
        ground: What workers need of the shell; None where no cell can be isolated.
        connection_file: Where the kernel can be reached; empty where there is none.
        buttons: Shows buttons below a cell that asks; None where there are none.
        turns: Held by what hears the buttons; by default they are the session's alone.

    Returns:
        The session, with what it has to say in its notices.
    """
    identity = identify(env, session=os.urandom(16).hex())
    notices = Notices()
    if identity.complaint:
        notices.say(identity.complaint)
    announcer = _announcer(identity.session, env, notices)
    try:
        home.ensure()
        is_writable = True
    except OSError:
        is_writable = False  # the journal says so, at its first record
    redactor = DeferredRedactor(env)
    journal = Journal(home, identity.session, settings=settings.journal, on_trouble=notices.say)
    tail = OutputTail(home.tail_path(identity.session), lambda text: redactor.text(text)[0])
    # Undone from the last to the first; the lease goes first, so that a kill is no death any more.
    closers: list[Callable[[], None]] = [tail.remove]
    presence = Presence(
        home=home,
        session=identity.session,
        notebook=env.get("JPY_SESSION_NAME", ""),
        connection_file=connection_file,
        is_private=is_owned(env),
    )
    wake_mirrors = _open_mirrors(home, settings, closers)
    if is_writable:
        closers += presence.begin(identity.plan_id, identity.task_id)
        _tell_deaths(home, identity.session, settings, notices, announcer, around)
    where = Whereabouts(
        identity.session,
        identity.plan_id,
        identity.task_id,
        on_move=presence.move,
    )
    memory = ResidentMemory()
    parts = RecorderParts(
        where=where,
        settings=settings,
        journal=journal,
        redactor=redactor,
        tail=tail,
        memory=memory,
        memory_watch=_memory_watch(settings, memory, notices),
        keeper=_output_keeper(home, settings, redactor, notices),
    )
    recorder = Recorder(parts)
    tracking, errands, waits, turns = Tracking(), Errands(), Waits(), turns or QuickTurns()

    def open_state() -> "StateParts":
        with recorder.own_imports():
            from flow_kernel.session.assembly_state import StateParts  # most sessions need no store

        state = StateParts(
            home=home,
            parts=parts,
            recorder=recorder,
            session=identity.session,
            env=env,
            notebook=notebook,
            notices=notices,
            emit=announcer.emit,
            keep=announcer.keep,
            on_carried=wake_mirrors,
            closers=closers,
            around=around,
            tracking=tracking,
            errands=errands,
            show_progress=show_progress,
            prompter=prompter,
            buttons=buttons,
            answer=beside.decide,
            turns=turns,
            waits=waits,
        )
        state.carry()
        return state

    opened = _Opened(open_state)
    beside = LazyBeside(
        home,
        parts,
        recorder,
        emit=announcer.emit,
        on_carried=wake_mirrors,
        closers=closers,
        waiting=opened.find_approvals,
        waits=waits,
    )
    still = Stillness(None if around is None else around.look_around.within)
    isolation = LazyIsolation(
        IsolationParts(
            settings=settings.pool,
            home=home,
            journal=journal,
            where=where,
            ground=ground,
            still=still,
            redact=lambda text: redactor.text(text)[0],
            emit=_within_cells(announcer, recorder),
            data_dir=None if around is None else around.key_path.parent,
            own_imports=recorder.own_imports,
        ),
        closers,
    )

    def watch_questions() -> None:
        # A session that has never opened the store does not begin to because of others.
        for state in opened.states:
            state.approvals.reminders.watch_others()

    session = Session(
        identity=identity,
        where=where,
        open_tasks=lambda: opened(lambda state: state.tasks),
        open_texts=lambda: opened(lambda state: state.texts),
        open_approvals=lambda: opened(lambda state: state.approvals),
        find_approvals=opened.find_approvals,
        open_beside=beside,
        open_checkpoints=lambda: opened(lambda state: state.checkpoints),
        note_checkpoint=lambda kind, fields: opened(lambda state: state.note(kind, fields)),
        way_back=lambda: _way_back(home, identity.session, around),
        errands=errands,
        open_isolation=isolation,
        find_isolation=isolation.find,
        ground=ground,
        still=still,
        tracking=tracking,
        watch_questions=watch_questions,
        home=home,
        settings=settings,
        recorder=recorder,
        tail=tail,
        journal=journal,
        history=History(home, identity.session),
        notices=notices,
        announcer=announcer,
        turns=turns,
        withdrawn=Withdrawn(),
        on_close=closers,
        warm_up=redactor.load,
        pid=os.getpid(),
    )
    _set_going(session, env, is_writable=is_writable)
    if around is not None and settings.checkpoints.counts:
        _follow(lambda: opened(lambda state: state.automatic), notices)
    return session


def _set_going(session: Session, env: Mapping[str, str], *, is_writable: bool) -> None:
    if session.settings.isolate_all:
        session.errands.send = lambda wish: _send(session, wish)
    if is_writable:
        _go_on(session, env)
        session.watch_questions()


def _send(session: Session, wish: Wish) -> bool:
    from flow_kernel.session.isolation.keeping import send  # most sessions hold their variables

    return send(session, wish)


class _Opened:
    """What needs the store, opened once, by whichever thread is the first to ask."""

    def __init__(self, open_state: "Callable[[], StateParts]") -> None:
        self._open_state = open_state
        self._lock = threading.RLock()
        self.states: list[StateParts] = []

    def __call__(self, part: "Callable[[StateParts], T]") -> T:
        with self._lock:
            if not self.states:
                self.states.append(self._open_state())
            return part(self.states[0])

    def find_approvals(self) -> "Approvals | None":
        """The questions, if the store has been opened yet."""
        return next((state.approvals for state in self.states), None)


def _follow(open_automatic: "Callable[[], Automatic]", notices: Notices) -> None:
    """Cells count from the first one on."""
    try:
        open_automatic().follow()
    except FlowError as error:
        notices.say(f"automatic checkpoints are not taken: {error}")


def _go_on(session: Session, env: Mapping[str, str]) -> None:
    """Enter the task that the environment names, or the one that a dead kernel left open."""
    identity = session.identity
    try:
        if identity.task_id != ADHOC_TASK:
            name = env.get("FLOW_TASK_NAME", "")
            session.tasks.attach(identity.plan_id, identity.task_id, name=name)
        elif session.home.store_path.exists():
            task = session.tasks.resume()
            if task is not None:
                session.notices.say(f'task {task.task_id} "{task.name[:80]}" goes on')
    except FlowError as error:
        session.notices.say(f"tasks cannot be used: {error}")


def _open_mirrors(
    home: Home, settings: Settings, closers: list[Callable[[], None]]
) -> Callable[[], None]:
    """What tells the mirrors that there may be something new."""
    if not settings.mirrors:
        return lambda: None
    from flow_kernel.session.mirror_thread import MirrorThread  # most sessions have none

    thread = MirrorThread(home, settings.mirrors)
    closers.insert(0, thread.close)
    return thread.wake


def _memory_watch(settings: Settings, memory: ResidentMemory, notices: Notices) -> MemoryWatch:
    headroom = Headroom()
    return MemoryWatch(
        settings.memory_interrupt_at,
        left=headroom,
        rss=memory,
        say=notices.say,
        release=headroom.close,
        peak=peak_rss_bytes,
    )


def _output_keeper(
    home: Home, settings: Settings, redactor: DeferredRedactor, notices: Notices
) -> OutputKeeper | None:
    if not settings.keep_outputs:
        return None
    return OutputKeeper(
        home,
        budget_bytes=settings.recorder.kept_outputs_bytes,
        redact=redactor.text,
        on_trouble=notices.say,
    )


def _within_cells(announcer: Announcer, recorder: Recorder) -> Emit:
    def tell(name: str, /, **fields: Scalar) -> None:
        # A line between two cells would be nobody's: it is told with the next one.
        (announcer.emit if recorder.is_in_cell() else announcer.keep)(name, **fields)

    return tell


def _announcer(session: str, env: Mapping[str, str], notices: Notices) -> Announcer:
    mode = env.get("FLOW_EVENTS") or "auto"
    if mode not in MODES:
        notices.say(f"FLOW_EVENTS={mode[:60]!r} is none of {', '.join(MODES)}; auto is taken")
        mode = "auto"
    return Announcer(session, mode=mode)


def _tell_deaths(
    home: Home,
    session: str,
    settings: Settings,
    notices: Notices,
    announcer: Announcer,
    around: "Surroundings | None",
) -> None:
    if not any(not path.name.startswith(session) for path in home.run_dir.iterdir()):
        return  # nobody else is or was here, as a rule
    from flow_kernel.session.deaths import record_deaths  # 5 ms, seldom needed
    from flow_kernel.session.obituary import death_event, tell_death  # with it

    for death in record_deaths(home, session=session, settings=settings.journal):
        if death.is_worth_telling:
            way_back = _way_back(home, death.lease.session, around)
            notices.say("; ".join(filter(None, (tell_death(death), way_back))))
            announcer.keep("death", **death_event(death))


def _way_back(home: Home, session: str, around: "Surroundings | None") -> str:
    """What the checkpoints of a session that died are good for; empty where there are none."""
    if around is None or not (home.root / "objects").is_dir():
        return ""
    from flow_kernel.session.checkpoints.opening import offer_of  # after a death only

    try:
        return offer_of(home, session, around.key_path)
    except FlowError:
        return ""
