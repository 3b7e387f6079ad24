"""Sources that IPython does not read token by token come out as IPython would have left them."""

import warnings
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from flow_kernel.shell.overrides.plain_source import PlainTransformers, is_plain, is_usable
from flow_kernel.shell.overrides.question_mark import TRANSFORMERS

PIECES = st.sampled_from(
    [
        *("x", "1", " ", "\n", "\t", "\\\n", "(", ")", "[", "]", "{", "}", "=", ",", ";", "/", ":"),
        *("'", '"', '"""', "'''", "#", "f'", "{x", "\f", "\x1c", "\u2028", "\r", "\xa0", "a b"),
        *("if x:\n", "lambda: 0", "0x", "$", "`", ".1", "//", "def f():\n  ", "==", "\n  "),
        *(
            "%",
            "!",
            "?",
            "%%time\n",
            "%ls",
            "!ls",
            "a?",
            "x = %ls",
            "x = !ls",
            "!=",
            "%%isolated\n1?",
            "%approve a",
            "x = %task b?",
        ),
        "get_ipython().run_cell_magic('a', '', 'b')",
    ]
)
SOURCES = st.lists(PIECES, max_size=12).map("".join)


def transformed(kind: type[TransformerManager], source: str, ours: Iterable[type] = ()) -> str:
    manager = kind()
    manager.token_transformers.extend(ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(manager.transform_cell(source))
    except Exception as error:  # noqa: BLE001 - which one is what is compared
        return f"{type(error).__name__}: {error}"


@given(SOURCES)
def test_any_source_becomes_what_ipython_makes_of_it(source: str) -> None:
    assert is_usable()
    assert transformed(PlainTransformers, source) == transformed(TransformerManager, source)


@given(SOURCES)
def test_any_source_becomes_what_our_transformers_make_of_it(source: str) -> None:
    plain = transformed(PlainTransformers, source, TRANSFORMERS)
    assert plain == transformed(TransformerManager, source, TRANSFORMERS)


@given(st.text(), st.text())
def test_any_cell_magic_becomes_what_ipython_makes_of_it(line: str, body: str) -> None:
    source = f"%%isolated {line}\n{body}"
    assert transformed(PlainTransformers, source) == transformed(TransformerManager, source)


@pytest.mark.parametrize(
    "source",
    [
        *("1+1\n", "x = 5\nif x != 4:\n    print(x % 2)\n", "f'{x!r}'\n"),
        "get_ipython().run_cell_magic('t', '', 'a?\\n%b')\n",
    ],
)
def test_plain_sources_are_known_as_such(source: str) -> None:
    assert is_plain(source.splitlines(keepends=True))


@pytest.mark.parametrize(
    "source",
    [
        *(
            "%ls\n",
            "x = !ls\n",
            "x = \\\n %ls\n",
            "x?\n",
            "  ,f a\n",
            "f()\n/f a\n",
            "x = 5\x1c%ls\n",
        ),
        "get_ipython().run_cell_magic('a', '', 'b'); x = %ls ('', '', '')\n",
    ],
)
def test_what_may_be_ipythons_is_looked_at(source: str) -> None:
    assert not is_plain(source.splitlines(keepends=True))


def test_another_transformer_sees_every_source() -> None:
    seen = []

    class Seeing:
        @classmethod
        def find(cls, tokens_by_line: list[object]) -> None:
            seen.append(len(tokens_by_line))

    manager = PlainTransformers()
    manager.token_transformers.append(Seeing)
    assert manager.transform_cell("1+1") == "1+1\n"
    assert seen


def test_beside_our_transformers_a_plain_source_is_not_read() -> None:
    class Counting(PlainTransformers):
        reads = 0

        def do_one_token_transform(self, lines: list[str]) -> object:
            self.reads += 1
            return super().do_one_token_transform(lines)

    manager = Counting()
    manager.token_transformers.extend(TRANSFORMERS)
    assert (manager.transform_cell("1+1"), manager.reads) == ("1+1\n", 0)
    assert manager.transform_cell("x = %task a?") != "x = %task a?\n"
    assert manager.reads > 0
