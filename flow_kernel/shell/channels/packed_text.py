"""A message whose text cannot be encoded is sent all the same, with that text escaped.

Used by the kernels of `shell.kernel` and `shell.worker.app`.

A lone surrogate (half a character, from a file name or a careless slice) cannot be encoded as
UTF-8. In stock ipykernel the message that holds one is not sent, nor is what was gathered with it:
lines are lost, an error has another name, a reply does not come and the client waits for ever.
Every message of a kernel is packed in one place, and there it becomes a backslash escape.

Proven for jupyter_client 8.8 to 8.10: `Session.pack`, a callable that takes what becomes JSON.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson
from jupyter_client import session as stock

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MOST_DEEP: Final = 200
_OPTION: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
_dumps: Final = orjson.dumps


def is_usable() -> bool:
    """Messages are packed as we know it."""
    names = ("orjson_packer", "json_packer", "json_default")
    return all(callable(getattr(stock, name, None)) for name in names)


def pack_all(session: Any) -> None:
    """Have `session` send whatever it is told to."""
    if not is_usable():
        return
    if session.pack is stock.orjson_packer:
        session.pack = _pack
    elif session.pack is stock.json_packer:
        session.pack = _or_escaped(session.pack)


def _pack(content: Any) -> bytes:
    """What `orjson_packer` does, where it can."""
    try:
        return _dumps(content, stock.json_default, _OPTION)
    except Exception:  # noqa: BLE001 - whatever it is, ipykernel's way is told of it
        return stock.orjson_packer(escaped(content))  # type: ignore[no-any-return]  # it has no types


def _or_escaped(pack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def pack_escaped(content: Any) -> bytes:
        try:
            return pack(content)
        except UnicodeEncodeError:
            return pack(escaped(content))

    return pack_escaped


def escaped(value: Any, deep: int = 0) -> Any:
    """`value` with the lone surrogates of all texts and keys as backslash escapes (pure).

    Only what JSON knows is looked into, and no class of a user's is asked for anything.
    """
    if isinstance(value, str):
        text = str.__str__(value)
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
    if deep > _MOST_DEEP:
        return value
    if isinstance(value, dict):
        items = dict.items(value)
        return {escaped(key, deep + 1): escaped(each, deep + 1) for key, each in items}
    if type(value) is list or type(value) is tuple:
        return [escaped(each, deep + 1) for each in value]
    return value
