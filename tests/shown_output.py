"""What a front end shows of a program, from the messages of its kernel (pure).

Called by `tests/flows/test_output_order.py`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from tests.programs_of_output import CHILD, OUTSIDE, THREADS, Program, Shown
from tests.replies import Message

_ELSEWHERE: Final = str.maketrans("", "", OUTSIDE + CHILD)
_RUN: Final = re.compile(f"[{''.join(THREADS)}]+")
_NOT_OUTSIDE: Final = re.compile(f"[^{OUTSIDE}]+")
_NOT_CHILD: Final = re.compile(f"[^{CHILD}]+")
_TOKEN: Final = re.compile("«[^«»]*»")
_STREAMS: Final = ("stdout", "stderr")


def expected(program: Program) -> list[Shown]:
    """What a program shows, each cell between its statuses."""
    return [
        each
        for number, cell in enumerate(program.cells)
        for each in (
            *(("cell", str(number)), ("status", "busy"), ("execute_input", cell.code)),
            *(*cell.shown, ("status", "idle")),
        )
    ]


def shown(messages: Iterable[Message], cells: Sequence[str]) -> list[Shown]:
    """What was shown for the requests `cells`, in the order of arrival.

    Text of descriptors and children is left out: it has no fixed place.
    """
    found: list[Shown] = []
    last = None
    for message in messages:
        parent = message["parent_header"].get("msg_id")
        if parent not in cells:
            continue
        kind, what = _brief(message)
        if kind in _STREAMS and not (what := what.translate(_ELSEWHERE)):
            continue
        if parent != last:
            found.append(("cell", str(cells.index(parent))))
            last = parent
        found.append((kind, what))
    return found


def in_order(found: Iterable[Shown]) -> list[Shown]:
    """Text of a stream joined up to whatever else is shown, the other stream as well."""
    joined: list[Shown] = []
    for kind, what in found:
        if kind in _STREAMS and joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + what)
        else:
            joined.append((kind, what))
    return [(kind, _by_thread(what) if kind in _STREAMS else what) for kind, what in joined]


def by_stream(found: Iterable[Shown]) -> list[Shown]:
    """Text joined per stream between two others: ipykernel gathers each stream for itself."""
    joined: list[Shown] = []
    texts = dict.fromkeys(_STREAMS, "")
    for kind, what in (*found, ("end", "")):
        if kind in _STREAMS:
            texts[kind] += what
            continue
        joined += [(stream, _by_thread(text)) for stream, text in texts.items() if text]
        joined.append((kind, what))
        texts = dict.fromkeys(_STREAMS, "")
    return joined


def elsewhere(messages: Iterable[Message]) -> dict[str, tuple[str, list[str]]]:
    """By stream: the text of descriptors in its order, and what children said, sorted."""
    texts = dict.fromkeys(_STREAMS, "")
    for message in messages:
        if message["msg_type"] == "stream":
            texts[message["content"]["name"]] += message["content"]["text"]
    return {
        stream: (
            _NOT_OUTSIDE.sub("", text),
            sorted(_TOKEN.findall(_NOT_CHILD.sub("", text))),
        )
        for stream, text in texts.items()
    }


def difference(left: Sequence[Shown], right: Sequence[Shown]) -> str:
    """Where two sequences part, long texts cut."""
    at = next(
        (n for n, (one, two) in enumerate(zip(left, right, strict=False)) if one != two),
        min(len(left), len(right)),
    )
    return "\n".join(
        f"  {name} from {at}: {[_cut(each) for each in found[max(0, at - 2) : at + 4]]}"
        for name, found in (("first", left), ("second", right))
    )


def _brief(message: Message) -> Shown:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        return content["name"], content["text"]
    if kind == "status":
        return kind, content["execution_state"]
    if kind == "execute_input":
        return kind, content["code"]
    if kind == "clear_output":
        return kind, str(content["wait"])
    if kind == "error":
        return kind, f"{content['ename']}: {content['evalue']}"
    name = content.get("transient", {}).get("display_id", "")
    return kind, f"{content['data']['text/plain']} {name}".rstrip()


def _by_thread(text: str) -> str:
    """Threads that write at once take turns as they like: the text of each is put together."""

    def sort(run: re.Match[str]) -> str:
        return "".join(
            "".join(letter for letter in run[0] if letter in letters) for letters in THREADS
        )

    return _RUN.sub(sort, text)


def _cut(each: Shown) -> Shown:
    kind, what = each
    return each if len(what) < 400 else (kind, f"{what[:150]} … {len(what)} … {what[-150:]}")
