"""Workers that are kept ready: who begins the next one, and when."""

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from flow_kernel.apps.sandbox.outlet import SandboxOutlet
from flow_kernel.settings import PoolSettings
from flow_kernel.workers.pool import Pool
from flow_kernel.workers.starts import Starts
from tests.environments import environment
from tests.sandboxes import wait_for


def test_where_another_one_is_ready_the_next_is_begun_a_moment_later_without_being_asked(
    tmp_path: Path,
) -> None:
    logging.getLogger("traitlets").addHandler(logging.NullHandler())
    outlet = SandboxOutlet()
    pool = Pool(
        tmp_path, key=outlet.key, session_id=outlet.session_id, env=lambda: environment({}),
        outlet=outlet, on_change=lambda worker, reason: None, settings=PoolSettings(spares=2),
    )  # fmt: skip
    with closing(pool):
        pool.keep_spares()
        wait_for(lambda: len(pool.workers) == 2)
        first = pool.lease(None)
        ready = [each.result(0) for each in pool._spares]
        wait_for(lambda: len(pool._spares) == 2 and len(pool.workers) == 3)
        pool.lease(None)
        pool.lease(None)
        begun = len(pool._spares)

        assert [each.lives for each in ready] == [True]
        assert first not in ready
        assert begun == 2


def test_what_is_to_be_done_later_is_done_after_what_is_asked_for_now_and_in_its_order() -> None:
    nothing = cast("Any", None)
    starts = Starts(order=nothing, meet=nothing, join=nothing, nursery=nothing, settings=nothing)
    done: list[str] = []

    def does(name: str) -> Callable[[], None]:
        return lambda: done.append(name)

    starts.post_later(does("a moment later"))
    starts.post_later(does("then"))
    starts.post(does("now"))
    wait_for(lambda: len(done) == 3)
    starts.post_later(does("not after the end"))
    starts.close(does("the end")).result(10)

    assert done == ["now", "a moment later", "then", "the end"]
