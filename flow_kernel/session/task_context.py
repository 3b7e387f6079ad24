"""The context of the open task as a dict that writes itself.

Made by `session.session` for `current_session().context`.
"""

from collections.abc import Iterator, MutableMapping

from flow_kernel.session.tasks import Tasks


class TaskContext(MutableMapping[str, object]):
    """Keys and JSON values of the open task; reading and writing raise NotFound when none is."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def __getitem__(self, key: str) -> object:
        return self._tasks.show().context[key]

    def __setitem__(self, key: str, value: object) -> None:
        self._tasks.set({key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self._tasks.show().context:
            raise KeyError(key)
        self._tasks.unset(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks.show().context)

    def __len__(self) -> int:
        return len(self._tasks.show().context)

    def __repr__(self) -> str:
        return repr(self._tasks.show().context)
