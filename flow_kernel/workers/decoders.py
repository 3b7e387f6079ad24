"""Bytes of many workers as text: a letter may be cut between two pieces of one of them.

Called by the outlets of `shell` in the relay's thread.
"""

import codecs


class Decoders:
    """One for each stream of each worker."""

    def __init__(self) -> None:
        self._decoders: dict[tuple[str, str], codecs.IncrementalDecoder] = {}

    def decode(self, worker_id: str, name: str, data: bytes) -> str:
        """What can be told of `data` and of what was left over before it."""
        key = worker_id, name
        if key not in self._decoders:
            self._decoders[key] = codecs.getincrementaldecoder("utf-8")("replace")
        return self._decoders[key].decode(data)

    def forget(self, worker_id: str) -> None:
        """A worker is gone."""
        for key in [key for key in self._decoders if key[0] == worker_id]:
            del self._decoders[key]
