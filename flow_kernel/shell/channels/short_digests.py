"""Which requests have come already, in a number each.

Used by the kernels of `shell.kernel` and `shell.worker.app`.

So that nobody sends a request of somebody else's a second time, jupyter_client keeps the signatures
of the last 65,536 of them, in 112 bytes each. Here it is 32 bytes: 60 bits of a hash. The same
signature is always found; another one is taken for it once in 10 million million requests.

Proven for jupyter_client 8.8 to 8.10: a set that is asked with `in`, added to, and culled by what
it yields; where it is something else, it stays.
"""

from typing import Any, Final

from jupyter_client.session import Session
from traitlets import Set

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MASK: Final = (1 << 60) - 1  # two digits of Python's numbers
_USES: Final = {
    "deserialize": {"digest_history", "_add_digest"},
    "_add_digest": {"digest_history", "add"},
    "_cull_digest_history": {"digest_history", "difference_update"},
}


class ShortDigests(set[Any]):
    """Signatures; who looks at all of them sees numbers."""

    def __contains__(self, signature: object) -> bool:
        return super().__contains__(hash(signature) & _MASK)

    def add(self, signature: object) -> None:
        """A request with it has come."""
        super().add(hash(signature) & _MASK)


def shorten_digests(session: Any) -> None:
    """Have `session` keep less of each request."""
    if is_usable() and type(session.digest_history) is set:
        short = ShortDigests()
        for signature in session.digest_history:
            short.add(signature)
        session.digest_history = short


def is_usable() -> bool:
    """Signatures are kept as we know it."""
    try:
        return type(Session.digest_history) is Set and all(
            names <= {*getattr(Session, method).__code__.co_names}
            for method, names in _USES.items()
        )
    except AttributeError:
        return False
