"""The parts of a handle on a home's state, put together for programs that are no notebook.

Called by `flow_kernel.api` and by the command line.
"""

import os

from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home, network_file_system
from flow_kernel.records.journal import Journal, utc_now_ms
from flow_kernel.records.names import DEFAULT_PLAN, is_plan_id
from flow_kernel.session.carrier import Carrier
from flow_kernel.session.flow import Flow
from flow_kernel.session.logged_changes import keep_ids
from flow_kernel.session.person import user_name
from flow_kernel.settings import JournalSettings
from flow_kernel.store.sqlite import WAIT_S, SqliteStore


def flow_of(home: Home, *, author: str | None = None) -> Flow:
    """A handle on `home` that the caller closes."""
    plan_id = os.environ.get("FLOW_PLAN_ID") or DEFAULT_PLAN
    if not is_plan_id(plan_id):
        raise UsageError(f"FLOW_PLAN_ID={plan_id[:60]!r} is no plan id")
    store = store_of(home)
    journal = Journal(home, os.urandom(16).hex(), settings=JournalSettings())
    carry = Carrier(home, store, journal)
    return Flow(
        home,
        store,
        plan_id=plan_id,
        author=author or user_name(),
        now=utc_now_ms,
        carry=carry,
        on_close=journal.close,
    )


def store_of(home: Home, *, wait_s: float = WAIT_S) -> SqliteStore:
    """The store of `home`; nothing is opened before its first use.

    Args:
        home: Where the state lies.
        wait_s: How long a write waits for another writer.
    """
    is_network = network_file_system(home.root) is not None
    return SqliteStore(home.store_path, is_network=is_network, wait_s=wait_s, on_new=keep_ids(home))
