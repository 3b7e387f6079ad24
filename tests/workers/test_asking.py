"""What a worker asks stands behind what its cell has said before."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from jupyter_client.session import Session

from flow_kernel.workers.job import InputWanted, Job
from flow_kernel.workers.messages import Message
from flow_kernel.workers.pool import Pool
from tests.environments import environment
from tests.workers.test_pool import FORK, KEY, Heard, run


class _InOrder(Heard):
    """What a worker says and asks, in the order in which the relay tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def publish(self, worker_id: str, message: Message) -> None:
        if message.kind == "stream":
            self.told.append(str(message.content["text"]))

    def text(self, worker_id: str, parent: Mapping[str, Any], name: str, data: bytes) -> None:
        self.told.append(data.decode())


class _Happened(SimpleQueue[Any]):
    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self._told = told

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if isinstance(item, InputWanted):
            self._told.append(item.prompt)
        super().put(item, block, timeout)


def test_what_a_cell_has_said_is_told_before_its_question_however_late_it_is_heard(
    tmp_path: Path,
) -> None:
    heard = _InOrder()
    pool = Pool(
        tmp_path,
        key=KEY,
        session_id="the session",
        env=lambda: environment({}),
        outlet=heard,
        on_change=heard.changed,
        settings=FORK,
    )
    try:
        worker = pool.lease("asks")
        run(worker, "v = 1")
        job = Job(
            header=Session().msg("execute_request")["header"],
            content={"code": "print('said')\ninput('asked')", "allow_stdin": True},
        )
        job.happened = _Happened(heard.told)
        # The thread that listens is late: it comes back when both are there.
        worker._relay.post(partial(worker._channels.stdin.poll, 20_000))
        worker.run(job)
        job.happened.get(timeout=20)
    finally:
        pool.close()

    assert heard.told == ["said\n", "asked"]
