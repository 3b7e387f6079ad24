"""Conditions say yes or no, or clearly why they cannot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import UsageError
from flow_kernel.workflow import conditions
from tests.records.journals import many

VALUES: dict[str, Any] = {
    "n": 3,
    "half": 0.5,
    "text": "abc",
    "items": [1, 2, 3],
    "fetch": {"rows": 10, "ok": True, "nested": {"list": [{"x": 7}]}, "nothing": None},
    "fetch-1": {"rows": 2},
    "empty": [],
    "huge": 2**63,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n", True),
        ("empty", False),
        ("n == 3 and text == 'abc'", True),
        ("0 < n <= 3 < fetch.rows", True),
        ("n > 3 or half < 1", True),
        ("not n", False),
        ("fetch.ok", True),
        ("fetch.ok is True", True),
        ("fetch.ok == true and fetch.nothing == null", True),
        ("fetch.nothing is None", True),
        ("fetch.nothing is not null", False),
        ('fetch["rows"] / 4 == 2.5', True),
        ("fetch.nested.list[0].x == 7", True),
        ("items[-1] == 3", True),
        ("items == [1, 2, 1 + 2]", True),
        ("2 in items and 9 not in items", True),
        ("'b' in text and 'rows' in fetch", True),
        ("text in ('abc', 'def')", True),
        ("len(items) == len(text)", True),
        ("text + 'd' == 'abcd'", True),
        ("-n + 4 * 2 - 7 // 2 - 5 % 3 == 0", True),
        ('value("fetch-1").rows == 2', True),
        ('defined("n") and not defined("m")', True),
        ('defined("fetch.nested.list") and not defined("fetch.rows.x")', True),
        ('not defined("m") or m > 3', True),
        ("fetch.ok or missing", True),
        ("  n > 2  ", True),
    ],
)
def test_a_condition_holds_or_not(text: str, expected: bool) -> None:
    assert conditions.check(text) == []
    assert conditions.evaluate(text, VALUES) is expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the condition is empty"),
        (" ", "the condition is empty"),
        ("x" * 2001, "the condition has 2,001 characters, and may have 2,000"),
        ("a.b(", "\"a.b(\" is no condition: '(' was never closed, at character 4"),
        ("n = 3", '"n = 3" is no condition: invalid syntax, at character 3'),
        ("2 ** 9", "a condition has no Pow, at character 1"),
        ("1 << 9", "a condition has no LShift, at character 1"),
        ("~n", "a condition has no Invert, at character 1"),
        ("n if n else 2", "a condition has no IfExp, at character 1"),
        ("[x for x in items]", "a condition has no ListComp, at character 1"),
        ("lambda: 1", "a condition has no Lambda, at character 1"),
        ("{1: 2}", "a condition has no Dict, at character 1"),
        ("items[0:2]", "a condition has no Slice, at character 7"),
        ("f'{n}'", "a condition has no JoinedStr, at character 1"),
        ("(m := 3)", "a condition has no NamedExpr, at character 2"),
        ("b'x'", "a condition has no bytes, at character 1"),
        ("1j", "a condition has no complex, at character 1"),
        ("...", "a condition has no ellipsis, at character 1"),
        ("text.upper()", "a condition calls nothing but defined, len, value, at character 1"),
        ("lne(text)", 'a condition calls nothing but defined, len, value; did you mean "len"?, at'
         " character 1"),
        ("len(text, 2)", "len takes one argument, at character 1"),
        ("len(*text)", "len takes one argument, at character 1"),
        ("defined(n)", 'defined takes a name in quotes: defined("name"), at character 1'),
        ("value(n)", 'value takes a name in quotes: value("name"), at character 1'),
        ("n is 3", '"is" compares with None, True and False only; use ==, at character 1'),
        ("not " * 100 + "n", "the condition is nested too deep"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_told_before_anything_runs(text: str, problem: str) -> None:
    assert conditions.check(text) == [problem]
    with pytest.raises(UsageError):
        conditions.evaluate(text, VALUES)


@pytest.mark.parametrize("text", ["n\x00", "\ud800", "(" * 900, "-" * 1999 + "1", "[" * 150])
def test_texts_that_trouble_a_parser_are_no_conditions(text: str) -> None:
    assert len(conditions.check(text)) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m > 3", 'there is no value "m"'),
        ("tetx == 'abc'", 'there is no value "tetx"; did you mean "text"?'),
        ("fetch.row > 1", 'there is no key "row"; did you mean "rows"?'),
        ("n.x", '3 has no "x"'),
        ("items[3]", "there is no position 3, of 3"),
        ("items['a']", 'a list has no "a"; it takes a position'),
        ("items[true]", "a list has no true; it takes a position"),
        ("n < text", '3 and "abc" have no order'),
        ("n < true", "3 and true have no order"),
        ("items < items", "a list and a list have no order"),
        ("n + text", '3 + "abc" makes no sense'),
        ("text * 3", '"abc" * 3 makes no sense'),
        ("text % n", '"abc" % 3 makes no sense'),
        ("n + true", "3 + true makes no sense"),
        ("-text", '"abc" is no number'),
        ("n / 0", "3 / 0 divides by zero"),
        ("n % 0.0", "3 % 0.0 divides by zero"),
        ("len(n)", "3 has no length"),
        ("n in text", '3 is no text, as "abc" is'),
        ("n in n", "3 holds nothing"),
        ('value("x")', 'there is no value "x"'),
        (" * ".join(["huge"] * 40) + " / 2 > 1", "a number is too large for *"),
        (" * ".join(["huge"] * 30) + " / 2 > 1",
         "that number / 2 is too large"),
    ],
)  # fmt: skip
def test_a_condition_without_an_answer_says_why(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        conditions.evaluate(text, VALUES)

    assert caught.value.message.rpartition(" has no answer: ")[2] == reason


def test_a_text_that_grows_is_cut_short() -> None:
    with pytest.raises(UsageError) as caught:
        conditions.evaluate("x + x + x", {"x": "y" * 400_000})

    assert caught.value.message.endswith("+ makes more than 1,000,000 characters or items")


def test_names_are_those_that_must_be_there() -> None:
    text = 'a.b > c[d] and value("e f") and defined("g.h") and g.h and len(true)'

    assert conditions.names(text) == {"a", "c", "d", "e f"}


pieces = st.sampled_from(
    ["n", "text", "items", "fetch", ".rows", "[0]", "(", ")", " and ", " or ", "not ", " in ", "==",
     "<", "+", "-", "*", "/", "//", "%", "1", "0", "'a'", "len(", 'defined("n")', ",", "true",
     " is ", "None", "**", "m", "9" * 30, "1e300", '["ok"]']
)  # fmt: skip


@many
@given(st.lists(pieces, max_size=12).map("".join) | st.text(st.characters(codec=None)))
def test_any_text_has_an_answer_or_a_clear_error(text: str) -> None:
    wrong = conditions.check(text)
    try:
        answer: object = conditions.evaluate(text, VALUES)
    except UsageError as error:
        answer = error

    assert isinstance(answer, UsageError if wrong else bool | UsageError)
