"""Workers that are kept ready: who begins the next one, and when."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from flow_kernel.apps.sandbox.outlet import SandboxOutlet
from flow_kernel.settings import PoolSettings
from flow_kernel.workers import starts as starts_module
from flow_kernel.workers.pool import Pool
from flow_kernel.workers.starts import Starts
from tests.environments import environment
from tests.sandboxes import DEADLINE_S, wait_for


def test_where_another_one_is_ready_the_next_is_begun_a_moment_later_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.getLogger("traitlets").addHandler(logging.NullHandler())
    outlet = SandboxOutlet()
    pool = Pool(
        tmp_path, key=outlet.key, session_id=outlet.session_id, env=lambda: environment({}),
        outlet=outlet, on_change=lambda worker, reason: None, settings=PoolSettings(spares=2),
    )  # fmt: skip
    with closing(pool):
        pool.keep_spares()
        before, *ready = [each.result(DEADLINE_S) for each in pool._spares]
        first = pool.lease(None)
        wait_for(lambda: len(pool._spares) == 2 and len(pool.workers) == 3)
        monkeypatch.setattr(starts_module, "_LATER_S", 2 * DEADLINE_S)  # not between these two
        pool.lease(None)
        pool.lease(None)
        begun = len(pool._spares)

        assert [each.lives for each in ready] == [True]
        assert first is before
        assert begun == 2


def test_what_is_to_be_done_later_is_done_after_what_is_asked_for_now_and_in_its_order() -> None:
    nothing = cast("Any", None)
    starts = Starts(order=nothing, meet=nothing, join=nothing, nursery=nothing, settings=nothing)
    done: list[str] = []

    def does(name: str) -> Callable[[], None]:
        return lambda: done.append(name)

    is_asked, is_closed = threading.Event(), threading.Event()
    starts.post(lambda: is_asked.wait(DEADLINE_S) and None)  # however long the asking takes
    starts.post_later(does("a moment later"))
    starts.post_later(does("then"))
    starts.post(does("now"))
    is_asked.set()
    wait_for(lambda: len(done) == 3)
    starts.post(lambda: is_closed.wait(DEADLINE_S) and None)
    starts.post_later(does("not after the end"))
    ended = starts.close(does("the end"))
    is_closed.set()
    ended.result(DEADLINE_S)

    assert done == ["now", "a moment later", "then", "the end"]
