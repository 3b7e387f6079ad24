"""Sources that IPython does not read token by token come out as IPython would have left them."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from flow_kernel.shell.plain_source import PlainTransformers, is_plain, is_usable

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
        ),
        "get_ipython().run_cell_magic('a', '', 'b')",
    ]
)
SOURCES = st.lists(PIECES, max_size=12).map("".join)


def transformed(kind: type[TransformerManager], source: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(kind().transform_cell(source))
    except Exception as error:  # noqa: BLE001 - which one is what is compared
        return f"{type(error).__name__}: {error}"


@given(SOURCES)
def test_any_source_becomes_what_ipython_makes_of_it(source: str) -> None:
    assert is_usable()
    assert transformed(PlainTransformers, source) == transformed(TransformerManager, source)


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
