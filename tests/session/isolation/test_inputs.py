"""An isolated cell is given what it reads: never less, and little more."""

from typing import Any

import pytest

from flow_kernel.errors import UsageError
from flow_kernel.session.isolation.inputs import wanted

NAMES = ("a", "b", "c", "df", "path")


def session(code: str = "") -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__main__", **dict.fromkeys(NAMES, 1)}
    exec(code, namespace)
    return namespace


def read(source: str, code: str = "") -> str:
    return " ".join(wanted(source, session(code), "auto"))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a + b", "a b"),
        ("unknown + 1", ""),
        ("a = 1\na + b", "b"),
        ("a, b = b, a", "a b"),
        ("a += 1", "a"),
        ("del a", "a"),
        ("a: int = 1\na", ""),
        ("a: b", "b"),
        ("import a\na.x", ""),
        ("if b: a = 1\na", "a b"),
        ("for a in []: pass\nprint(a)", "a"),
        ("try:\n    a = 1\nexcept b: pass\na", "a b"),
        ("del a\na = 1", "a"),
        ("f'{a!r:{b}}'", "a b"),
        ("[a for a in range(3)]", ""),
        ("[b for a in df]", "b df"),
        ("def f(a): return a + b\nc = 1", "b"),
        ("def f():\n    def g(): return c\n    return g\nf()()", "c"),
        ("def f():\n    global a\n    a += 1\nf()", "a"),
        ("class K:\n    v = a\n    def m(self): return b", "a b"),
        ("lambda x=a: b", "a b"),
        ("a.b.c[df]", "a df"),
        ("match a:\n    case {'k': c}: c", "a c"),
        ("await a", "a"),
        ("async with a as b: pass", "a"),
        ("x = 1  # a b", ""),
        ("'a b'", ""),
        ("eval('a + b')", "a b"),
        ("globals()['c']", "c"),
        ("q.query('x > @c')", "c"),
        ("db.sql('SELECT * FROM df')", "df"),
        ("%time x = a", "a"),
        ("x = 1\n!ls {path} $b", "b path"),
        ("df?", "df"),
        ("get_ipython().run_line_magic('time', 'a + b')", "a b"),
        ("return a", "a"),
        ("a +", "a"),
        ("(" * 500 + "a", "a"),
        ("a\0b", "a b"),
        ("", ""),
    ],
)
def test_a_cell_is_given_what_it_may_read_before_it_binds_it(source: str, names: str) -> None:
    assert read(source) == names


@pytest.mark.parametrize(
    ("code", "source", "names"),
    [
        ("def h(): return c\ndef g(): return h()", "g()", "c g h"),
        ("def g(): return g() + a", "g()", "a g"),
        ("class B:\n    def m(s): return b\nclass K(B):\n    @property\n    def p(s): return c",
         "K()", "K b c"),
        ("class K:\n    @classmethod\n    def m(s): return b\nk = K()", "k", "b k"),
        ("class K:\n    def m(s): return b\nm = K().m", "m()", "b m"),
        ("def d(f):\n    def inner(): return f() + a\n    return inner\n@d\ndef g(): return b",
         "g()", "a b g"),
        ("def g(f=lambda: c): return f", "g()()", "c g"),
        ("def g(): return eval('a')", "g()", "a g"),
        ("from json import dumps", "dumps(a)", "a dumps"),
    ],
)  # fmt: skip
def test_it_is_given_what_functions_and_classes_of_the_session_read(
    code: str, source: str, names: str
) -> None:
    assert read(source, code) == names


def test_names_of_the_shell_are_never_sent() -> None:
    mine = ["kept"]
    own = dict.fromkeys(
        ["In", "Out", "get_ipython", "exit", "quit", "_", "__", "___", "_i", "_ii", "_i12", "_7",
         "_oh", "_dh", "__builtins__", "shadowed", "_private"], mine
    )  # fmt: skip
    namespace = session() | own | {"hidden": mine}
    source = "\n".join(namespace)

    got = wanted(source, namespace, "auto", hidden={"hidden": mine, "shadowed": []})

    assert got == sorted([*NAMES, "shadowed", "_private"])


def test_named_names_are_taken_as_they_are() -> None:
    assert wanted("a", session(), ("c", "b", "c")) == ["c", "b"]
    assert wanted("a", session(), "none") == []
    assert wanted("a", session(), ()) == []


def test_a_name_that_does_not_exist_is_an_error_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        wanted("a", session(), ("a", "dg", "paths", "zzzzz"))

    assert str(caught.value) == (
        "the session has no variable dg, paths, zzzzz; nothing was run;"
        " did you mean df for dg, path for paths?"
    )


@pytest.mark.parametrize(
    "source",
    [
        "text = 'print(y)'\nexec(text)",
        "import __main__\n__main__.y",
        "import __main__ as home\nhome.y",
        "from __main__ import y",
        "import sys\nsys.modules['__main__'].y",
    ],
)
def test_a_name_that_is_read_by_way_of_a_text_or_a_module_is_sent(source: str) -> None:
    assert wanted(source, {"y": 1, "z": 2}, "auto") == ["y"]
