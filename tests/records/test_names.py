"""Names of plans and tasks as file names and ids."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flow_kernel.records.names import is_plan_id, is_task_id, safe_file_name
from tests.records.journals import many

any_text = st.text(st.characters(codec=None), max_size=80)


@pytest.mark.parametrize("name", ["local", "T-0001", "a_b-C", "x" * 48, "2026-11-21"])
def test_a_safe_name_stays_itself(name: str) -> None:
    assert safe_file_name(name) == name


@many
@given(any_text)
@example("../x")
@example("-f")
@example("a..b")
@example("con")
@example("")
@example("\0")
@example("x" * 5000)
@example("\ud800")
@example("\u202eevil")
@example(".git/hooks/post-commit")
def test_every_text_becomes_a_harmless_file_name(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9_+-]{0,56}", safe_file_name(name))


@many
@given(any_text, any_text)
@example("\ud800", "\\ud800")
@example("a b", "a/b")
@example("", "-")
def test_two_names_never_share_a_file(one: str, other: str) -> None:
    assert (safe_file_name(one) == safe_file_name(other)) == (one == other)


@many
@given(any_text)
@example("a b")
@example("con")
def test_no_name_is_the_file_name_of_another_one(name: str) -> None:
    file_name = safe_file_name(name)

    assert file_name == name or safe_file_name(file_name) != file_name


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("local", True),
        ("release-2.4", True),
        ("Größe", True),
        ("x" * 200, True),
        ("x" * 201, False),
        ("", False),
        ("a b", False),
        ("a/b", False),
        ("a\\b", False),
        ("a\nb", False),
        ("a\x00b", False),
        ("a\x9bb", False),
        ("local\n", False),
    ],
)
def test_a_plan_id_has_no_blank_slash_or_control_character(text: str, is_one: bool) -> None:
    assert is_plan_id(text) is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("T-0000", True),
        ("T-123456789", True),
        ("T-1", False),
        ("T-1234567890", False),
        ("t-0001", False),
        ("T-0001\n", False),
        ("T-\u0660\u0660\u0660\u0661", False),
        ("", False),
    ],
)
def test_a_task_id_is_t_and_four_to_nine_digits(text: str, is_one: bool) -> None:
    assert is_task_id(text) is is_one
