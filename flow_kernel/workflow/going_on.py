"""Runs that go on by themselves, in a process of their own.

Called when an answer was given to a parked run, and by a kernel that starts on a home where a
runner was killed.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.open_home import store_of
from flow_kernel.store.contract import Store
from flow_kernel.workflow.book import Book
from flow_kernel.workflow.states import RunStatus


def interrupted(home: Home) -> list[str]:
    """Runs whose runner is gone, which nobody has ended and which wait for nothing."""
    store = store_of(home)
    try:
        rows = Book(store, home, utc_now_ms).unfinished()
    finally:
        store.close()
    return [row.run_id for row in rows if row.status != RunStatus.WAITING]


def parked_on(store: Store, home: Home, approval_id: str) -> str | None:
    """The parked run that an answer is for; None where there is none, or somebody works on it."""
    with store.read() as view:
        run_id = view.run_of_approval(approval_id)
    known = {row.run_id for row in Book(store, home, utc_now_ms).unfinished()}
    return run_id if run_id in known else None


def go_on_beside(home: Home, run_ids: Sequence[str]) -> None:
    """Have a process of its own go on with runs; nobody waits for it.

    Raises:
        OSError: There can be no more processes.
    """
    words = ["resume", *run_ids, "--quiet", "--home", str(home.root.absolute())]
    subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", "flow_kernel.apps.cli", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=home.root.absolute().parent,
        env={name: value for name, value in os.environ.items() if name != "USE_SUBPROCESS_WORKER"},
    )
