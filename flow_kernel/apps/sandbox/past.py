"""Which tasks have run and are not kept any more: an order that comes again runs nothing.

Made by `engine`; called in its loop. A client whose connection breaks before it has heard anything
sends its order again. Where the task is over and forgotten by then, only its id can tell.

Ids are kept as hashes of 16 bytes, far longer than what tasks say: about 150 bytes each.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_HASH_BYTES: Final = 16


class PastTasks:
    """See the module.

    Args:
        most: Of each user; the oldest are forgotten first.
        keep_s: No longer than that.
        now_s: A clock that never goes back.
    """

    def __init__(
        self, most: int, *, keep_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._keep_s = keep_s
        self._now_s = now_s
        self._users: dict[str, OrderedDict[bytes, float]] = {}

    def add(self, user: str, task_id: str) -> None:
        """A task is not kept any more."""
        ids = self._users.setdefault(user, OrderedDict())
        known = _hash(task_id)
        ids.pop(known, None)  # at its end: the oldest comes first
        ids[known] = self._now_s()
        while len(ids) > self._most:
            ids.popitem(last=False)
        self._forget_old()

    def has(self, user: str, task_id: str) -> bool:
        """True where a task of that id has run."""
        self._forget_old()
        return _hash(task_id) in self._users.get(user, ())

    def _forget_old(self) -> None:
        oldest_s = self._now_s() - self._keep_s
        for user, ids in [*self._users.items()]:
            while ids and next(iter(ids.values())) < oldest_s:
                ids.popitem(last=False)
            if not ids:
                del self._users[user]


def _hash(task_id: str) -> bytes:
    return hashlib.blake2b(task_id.encode(), digest_size=_HASH_BYTES).digest()
