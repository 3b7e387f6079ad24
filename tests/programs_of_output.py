"""Random programs that show things, each with what it shows (pure).

Called by `tests/flows/test_output_order.py`. A program comes from its seed alone.

Who writes is told by the letters: capitals go past Python to a descriptor, Greek comes from forked
children, and each thread has a script of its own; all else is the cell itself. So text that has no
fixed place among the rest can be taken out, and the rest compared whole.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

Shown = tuple[str, str]
"""The type of a message and what it holds; a stream has its name for a type."""


def _letters(first: int, count: int = 20) -> str:
    return "".join(map(chr, range(first, first + count)))


OUTSIDE: Final = _letters(ord("A"), 26)
CHILD: Final = _letters(0x3B1, 17) + "«»"
THREADS: Final = (_letters(0x430), _letters(0x561), _letters(0x10D0))
"""The scripts of three threads: Cyrillic, Armenian, Georgian."""

_TEXTS: Final = (
    *(
        "plain words",
        "tab\tand 'quotes'",
        "0123456789",
        "\x1b[31mred\x1b[0m",
        "\rover\r",
        "{} % \\",
    ),
    *(
        "größe",
        "日本語",
        "🦊🦊",
        "e\u0301 a\u0308",
        "\u202eright to left",
        "\x00\x07",
        "\x85\u2028",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Code, and what it shows itself: text of both streams in the order of its writes."""

    code: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Cells, and what reaches the streams by other ways.

    Attributes:
        outside: Text that goes to a descriptor, in order, by stream.
        children: What forked children write, in any order, by stream.
    """

    seed: int
    cells: tuple[Cell, ...]
    outside: dict[str, str]
    children: dict[str, list[str]]


def program(seed: int) -> Program:
    """The program of a seed: one to four cells of up to nine lines."""
    rng = random.Random(seed)
    made = _Making(rng, forks=rng.random() < 0.2)
    cells = tuple(made.cell() for _ in range(made.rng.randint(1, 4)))
    return Program(seed=seed, cells=cells, outside=made.outside, children=made.children)


@dataclass(slots=True)
class _Making:
    rng: random.Random
    forks: bool
    outside: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})
    children: dict[str, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    lines: list[str] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    names: int = 0

    def cell(self) -> Cell:
        self.lines = [
            "import asyncio, contextlib, logging, os, subprocess, sys, threading",
            "from IPython.display import clear_output, display, update_display",
            "from IPython.utils.capture import capture_output",
        ]
        self.shown = []
        makers = _MAKERS | (_FORKS if self.forks else _OUTSIDERS)
        chosen = self.rng.choices(list(makers), list(makers.values()), k=self.rng.randint(2, 9))
        for maker in chosen:
            maker(self)
        self._end()
        return Cell(code="\n".join(self.lines), shown=tuple(self.shown))

    def say(self, stream: str, text: str) -> None:
        if text:
            self.shown.append((stream, text))

    def text(self) -> str:
        self.names += 1
        return f"{self.rng.choice(_TEXTS)} {self.names}"

    def stream(self) -> str:
        return self.rng.choice(("stdout", "stdout", "stderr"))

    def word(self, letters: str) -> str:
        return "".join(self.rng.choices(letters, k=self.rng.randint(3, 30)))

    def _end(self) -> None:
        kind, text = self.rng.choice(("nothing", "result", "error", "speaks")), self.text()
        if kind == "result":
            self.lines.append(f"{text!r}")
            self.shown.append(("execute_result", repr(text)))
        elif kind == "speaks":
            self.lines += [
                "class Speaks:",
                f"    def __repr__(self): print({text!r}); return 'spoke'",
                "Speaks()",
            ]
            self.say("stdout", text + "\n")
            self.shown.append(("execute_result", "spoke"))
        elif kind == "error":
            self.lines.append(f"raise ValueError({text!r})")
            self.shown.append(("error", f"ValueError: {text}"))


def _print(made: _Making) -> None:
    stream, texts = made.stream(), [made.text() for _ in range(made.rng.randint(0, 3))]
    sep, end = made.rng.choice((" ", "", ", ", "\n")), made.rng.choice(("\n", "\n", "", " | "))
    shape = f"sep={sep!r}, end={end!r}, file=sys.{stream}, flush={made.rng.random() < 0.3}"
    made.lines.append(f"print(*{texts!r}, {shape})")
    made.say(stream, sep.join(texts) + end)


def _write(made: _Making) -> None:
    stream, text = made.stream(), made.rng.choice((made.text(), made.text() + "\n", ""))
    made.lines.append(f"_n = sys.{stream}.write({text!r})")
    made.say(stream, text)


def _write_lines(made: _Making) -> None:
    stream, texts = made.stream(), [made.text() + "\n" for _ in range(made.rng.randint(0, 4))]
    made.lines.append(f"sys.{stream}.writelines({texts!r})")
    made.say(stream, "".join(texts))


def _write_long(made: _Making) -> None:
    stream, text, times = made.stream(), made.text(), made.rng.choice((100, 2_000, 15_000))
    made.lines.append(f"_n = sys.{stream}.write({text!r} * {times})")
    made.say(stream, text * times)


def _print_many(made: _Making) -> None:
    count, both = made.rng.randint(1, 300), made.rng.random() < 0.4
    streams = ("stdout", "stderr") if both else (made.stream(),) * 2
    made.lines.append(
        f"for _k in range({count}): print('line', _k, file=sys.{streams[1]} if _k % 3 == 0 "
        f"else sys.{streams[0]})"
    )
    for k in range(count):
        made.say(streams[k % 3 == 0], f"line {k}\n")


def _flush(made: _Making) -> None:
    made.lines.append(f"sys.{made.stream()}.flush()")


def _display(made: _Making) -> None:
    text, name = made.text(), made.rng.choice(("", "", "one", "two"))
    known = f", display_id={name!r}" if name else ""
    if made.rng.random() < 0.5:
        made.lines.append(f"_d = display({text!r}{known})")
        text = repr(text)
    else:
        bundle = {"text/plain": text, "text/html": f"<b>{text}</b>"}
        made.lines.append(f"_d = display({bundle!r}, raw=True{known})")
    made.shown.append(("display_data", f"{text} {name}".rstrip()))


def _update(made: _Making) -> None:
    text, name = made.text(), made.rng.choice(("one", "two"))
    made.lines.append(f"update_display({text!r}, display_id={name!r})")
    made.shown.append(("update_display_data", f"{text!r} {name}"))


def _clear(made: _Making) -> None:
    wait = made.rng.random() < 0.5
    made.lines.append(f"clear_output(wait={wait})")
    made.shown.append(("clear_output", str(wait)))


def _captured(made: _Making) -> None:
    text, other = made.text(), made.text()
    made.lines += [
        f"with capture_output(): print({text!r}); display({text!r})",
        f"with contextlib.redirect_stdout(sys.stderr): print({other!r})",
    ]
    made.say("stderr", other + "\n")


def _logged(made: _Making) -> None:
    text = made.text()
    made.lines.append(f"logging.getLogger('of a program').warning('%s', {text!r})")
    made.say("stderr", text + "\n")


def _awaited(made: _Making) -> None:
    one, two, count = made.text(), made.text(), made.rng.randint(1, 4)
    made.lines += [
        "async def _turns(text):",
        f"    for _ in range({count}): print(text, end=';'); await asyncio.sleep(0)",
        f"_g = await asyncio.gather(_turns({one!r}), _turns({two!r}))",
    ]
    made.say("stdout", f"{one};{two};" * count)


def _thread(made: _Making) -> None:
    first, last, shown = made.text(), made.text(), made.text()
    made.lines += [
        "def _speak():",
        f"    print({first!r}, file=sys.stderr); display({shown!r}); print({last!r})",
        "_t = threading.Thread(target=_speak); _t.start(); _t.join()",
    ]
    made.say("stderr", first + "\n")
    made.shown.append(("display_data", repr(shown)))
    made.say("stdout", last + "\n")


def _threads(made: _Making) -> None:
    words = [made.word(letters) for letters in THREADS]
    count = made.rng.randint(1, 60)
    made.lines += [
        "def _repeat(word):",
        f"    for _ in range({count}): print(word, end='')",
        f"_ts = [threading.Thread(target=_repeat, args=(w,)) for w in {words[1:]!r}]",
        "for _t in _ts: _t.start()",
        f"_repeat({words[0]!r})",
        "for _t in _ts: _t.join()",
    ]
    made.say("stdout", "".join(word * count for word in words))


def _descriptor(made: _Making) -> None:
    stream, text = made.stream(), made.word(OUTSIDE) * made.rng.choice((1, 1, 300))
    made.lines.append(f"_n = os.write({1 if stream == 'stdout' else 2}, {text.encode()!r})")
    made.outside[stream] += text


def _program(made: _Making) -> None:
    one, two = made.word(OUTSIDE), made.word(OUTSIDE)
    script = f"printf {one}; printf {two} >&2"
    way = made.rng.choice((f"subprocess.run(['sh', '-c', {script!r}])", f"os.system({script!r})"))
    made.lines.append(f"_p = {way}")
    made.outside["stdout"] += one
    made.outside["stderr"] += two


def _child(made: _Making) -> None:
    stream, texts = made.stream(), [f"«{made.word(CHILD[:-2])}»" for _ in range(2)]
    # What waits is in both processes then, and stock shows it twice.
    made.lines += [
        "sys.stdout.flush(); sys.stderr.flush()",
        "_child = os.fork()",
        "if _child == 0:",
        "    try:",
        f"        for _w in {texts!r}: print(_w, end='', file=sys.{stream}, flush=True)",
        "    finally: os._exit(0)",
        "_w = os.waitpid(_child, 0)",
    ]
    made.children[stream] += texts


_MAKERS: Final[dict[Callable[..., None], int]] = {
    _print: 20,
    _write: 8,
    _write_lines: 4,
    _write_long: 2,
    _print_many: 4,
    _flush: 3,
    _display: 9,
    _update: 3,
    _clear: 3,
    _captured: 3,
    _logged: 2,
    _awaited: 3,
    _thread: 3,
    _threads: 3,
}
"""How a line of a program is made, and how often among the others."""

_OUTSIDERS: Final[dict[Callable[..., None], int]] = {_descriptor: 4, _program: 2}
_FORKS: Final[dict[Callable[..., None], int]] = {_child: 6}
"""Never in one program: when a descriptor's text has left nobody can know inside."""
