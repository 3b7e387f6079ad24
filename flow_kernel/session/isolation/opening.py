"""Puts the isolated cells of a session together, when the first one is wanted.

Called by `lazily`.
"""

import os
from functools import partial
from pathlib import Path
from typing import Final

from flow_kernel.session.isolation.block_teller import BlockTeller
from flow_kernel.session.isolation.board import Board
from flow_kernel.session.isolation.forking import Forks
from flow_kernel.session.isolation.ground import Ground
from flow_kernel.session.isolation.idle_deaths import IdleDeaths
from flow_kernel.session.isolation.parts import IsolationParts
from flow_kernel.session.isolation.service import Isolation
from flow_kernel.session.isolation.steering import Steering
from flow_kernel.session.isolation.worker_events import WorkerEvents, tell_job
from flow_kernel.workers import preload
from flow_kernel.workers.lifecycle import BEGUN, State
from flow_kernel.workers.pool import Pool
from flow_kernel.workers.worker import Worker

_WORDS_CHARS: Final = 500


def open_isolation(parts: IsolationParts, ground: Ground) -> Isolation:
    """The isolated cells of one session.

    Args:
        parts: What they are made of; the journal gets a `worker` record for each that
            begins or ends.
        ground: The shell's.
    """
    home, journal, where = parts.home, parts.journal, parts.where

    def note(worker_id: str, state: str, reason: str, detail: dict[str, object]) -> None:
        place = where.now
        words = detail.get("last_output")
        if isinstance(words, str):  # half of a secret would not be known for one
            detail = detail | {"last_output": parts.redact(words)[-_WORDS_CHARS:]}
        fields: dict[str, object] = {"worker_id": worker_id, "state": state, "reason": reason}
        board.note(worker_id, state, reason)
        if state == State.DEAD:
            events.stopped(worker_id, reason)
        journal.append("worker", place.plan_id, place.task_id, fields | {"detail": detail})

    def place() -> str:
        return f"{where.now.plan_id}/{where.now.task_id}"

    board = Board(home.workers_path(where.session), session=where.session, place=place)

    events = WorkerEvents(parts.emit)
    begun: set[str] = set()

    def forget(worker_id: str, name: str | None) -> None:
        isolation.forget(worker_id, name)

    idle_deaths = IdleDeaths(note=note, say=ground.say, forget=forget)

    def changed(worker: Worker, reason: str) -> None:
        """People are told; what a death means to a cell only `service` knows."""
        board.change(worker)
        idle_deaths.change(worker, reason)
        events.change(worker, reason)
        if worker.state in BEGUN and worker.worker_id not in begun:
            begun.add(worker.worker_id)
            detail: dict[str, object] = {"kind": worker.kind, "pid": worker.pid}
            note(worker.worker_id, str(State.IDLE), worker.reason, detail)

    pool = Pool(
        home.run_dir if home.run_dir.is_dir() else Path.cwd(),
        key=ground.key,
        session_id=ground.session_id,
        env=lambda: os.environ,
        outlet=ground,
        on_change=changed,
        settings=parts.settings,
        learned=None if parts.data_dir is None else preload.path_in(parts.data_dir / "preload"),
    )
    ground.pool = pool
    pool.turnstile.on_queue = board.waits
    witness = BlockTeller(
        note=note, say=ground.say, emit=parts.emit, redact=parts.redact, tell=ground.blocked
    )
    forks = Forks(outlet=ground, tell=ground.say, note=note, on_change=changed, witness=witness)
    steering = Steering(pool, board, forks=forks, note=note)
    isolation = Isolation(
        pool,
        outlet=ground,
        tell=ground.say,
        note=note,
        steering=steering,
        forks=forks,
        still=parts.still,
        tell_job=partial(tell_job, parts.emit),
        witness=witness,
    )
    return isolation
