"""The picture of checkpoints: lanes that meet, what changed, and nothing that could do harm."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.session.checkpoints.checkpoint import (
    Body,
    Checkpoint,
    differing,
    summed_up,
)
from flow_kernel.session.checkpoints.comparison import change_of, document, name_changes
from flow_kernel.session.checkpoints.tree import Gap, Node, tree
from flow_kernel.session.checkpoints.tree_html import STYLE, tree_html
from flow_kernel.session.checkpoints.tree_page import tree_page
from flow_kernel.session.checkpoints.tree_text import ASCII, lines_of
from flow_kernel.store.git.rules import NO_CHANGES
from tests.session.made_checkpoints import line_of, made

EVIL = "<script>alert(1)</script>\x1b[31m\u202e\0\"'"


def drawn(checkpoints: list[Checkpoint], **options: object) -> list[str]:
    """The picture, with the names alone."""
    found = tree(checkpoints, **options)  # type: ignore[arg-type]  # as the function
    return [f"{line.lanes} {line.name}" for line in lines_of(found)]


def forked() -> list[Checkpoint]:
    a = made("a", values={"n": "1", "x": "1"})
    b = made("b", a, number=1, values={"n": "2", "y": "1"})
    c = made("c", a, number=2, values={"n": "1", "x": "1"}, tree="1" * 40)
    return [a, b, c, made("d", c, number=3), made("e", a, number=4)]


def test_branches_are_lanes_that_meet_at_their_parent() -> None:
    a, b, c, d, e = forked()

    assert drawn([a, b, c, d, e], here=b.checkpoint_id) == [
        "○ e",
        "│ ○ d",
        "│ ○ c",
        "│ │ ● b",
        "○─┴─╯ a",
    ]


def test_a_line_that_is_crossed_goes_on() -> None:
    a = made("a")
    old = made("old", number=1)
    b = made("b", a, number=2)
    other = made("other", old, number=3)
    c = made("c", a, number=4)
    assert drawn([old, a, b, other, c])[-2:] == ["○─┼─╯ a", "  ○ old"]


def test_a_picture_can_be_drawn_without_unicode() -> None:
    found = [line.lanes for line in lines_of(tree(forked()), glyphs=ASCII)]

    assert found == ["o", "| o", "| o", "| | o", "o-+-'"]


def test_a_deleted_parent_is_a_line_that_is_cut_off() -> None:
    _, b, c, d, _ = forked()

    assert drawn([b, c, d]) == [
        "○ d",
        "○ c",
        "┆ (what was before it is deleted)",
        "○ b",
        "┆ (what was before it is deleted)",
    ]


def test_what_changed_against_the_parent_is_told_by_names_and_files() -> None:
    a, b, c, _, e = forked()

    assert [*change_of(a, b).words()] == [("+", "y"), ("~", "n"), ("-", "x")]
    assert [*change_of(a, c).words()] == [("", "files")]
    assert [*change_of(a, e).words()] == [("-", "n"), ("-", "x")]


def test_what_neither_of_two_checkpoints_holds_is_no_change() -> None:
    a = made("a", not_saved=("g",))
    assert change_of(a, made("b", a, not_saved=("g",))).is_empty
    assert change_of(a, made("b", a, values={"g": "1"})).changed == ("g",)


def test_a_difference_tells_what_each_variable_held_before_and_after() -> None:
    a = made("a", values={"n": "1", "x": "1", "same": "5"}, not_saved=("g",))
    b = made("b", a, values={"n": "2", "y": "3", "same": "5"}, not_saved=("g",))
    difference = differing(a, b, NO_CHANGES)

    changes = name_changes(a, b, difference)

    assert [(one.sign, one.name, one.words) for one in changes] == [
        ("~", "g", "generator, not kept → other content"),
        ("~", "n", "1 → 2"),
        ("-", "x", "1"),
        ("+", "y", "3"),
    ]
    told = document(changes, difference)
    assert told["changed"] == ["g", "n"]
    assert told["summaries"] == {
        "g": {"before": "generator, not kept", "after": "generator, not kept"},
        "n": {"before": "1", "after": "2"},
        "x": {"before": "1", "after": None},
        "y": {"before": None, "after": "3"},
    }


def test_a_long_list_shows_the_newest_the_oldest_and_the_place_of_the_session() -> None:
    known = line_of(1000)

    found = tree(known, here=known[500].checkpoint_id, limit=20)

    told = [
        f"{row.count} left out" if isinstance(row, Gap) else row.checkpoint.name
        for row in found.rows
    ]
    newest = [f"c{number}" for number in range(999, 984, -1)]
    oldest = [f"c{number}" for number in range(4, -1, -1)]
    assert told == [*newest, "484 left out", "c500", "495 left out", *oldest]
    assert found.total == 1000
    assert drawn(known, limit=20)[15] == "⋮ 980 more, not shown"


def test_checkpoints_that_name_each_other_as_parents_are_shown_all_the_same() -> None:
    a = made("a", checkpoint_id="1" * 12, parent_id="2" * 12)
    b = made("b", checkpoint_id="2" * 12, parent_id="1" * 12)
    c = made("c", checkpoint_id="3" * 12, parent_id="3" * 12)

    assert [line for line in drawn([a, b, c]) if "deleted" not in line] == ["○ c", "○ b", "○ a"]


def test_files_differ_only_where_both_checkpoints_have_some() -> None:
    a = made("a", files={"tree": "1"})
    assert change_of(a, made("b", a, files={"tree": "2"})).has_files
    assert not change_of(a, made("c", a, files={"tree": "1"})).has_files
    assert not change_of(a, made("d", a, tree=None)).has_files
    assert change_of(made("e", tree=None, files={"tree": "1"}), a).has_files


@pytest.mark.parametrize("broken", [b"{", b"{}", b"[]", b'{"variables":1,"groups":2,"anchors":3}'])
def test_one_that_cannot_be_read_is_drawn_and_called_damaged(broken: bytes) -> None:
    a = made("a", values={"n": "1"})
    head = {**a.item(), "created_at": "2026-11-21T10:00:01.000Z", "session": "s", "plan_id": "p",
            "task_id": "t", "step": None, "python": "3.11", "libraries": {}, "files_reason": "",
            "name": "b", "parent_id": a.checkpoint_id, "checkpoint_id": "b" * 12}  # fmt: skip
    b = summed_up(head, Body(head, broken), variable_count=7, is_trusted=False)
    found = tree([a, b])

    assert [line.changes for line in lines_of(found)] == [
        "damaged: see verify · not your key",
        "1 variable",
    ]
    assert "damaged: see verify" in tree_html(found)
    assert "damaged: see verify" in tree_page(found, title="t")


def test_a_clock_that_went_back_puts_no_child_below_its_parent() -> None:
    a = made("a", number=50)
    b = made("b", a, number=10)

    assert drawn([b, a]) == ["○ b", "○ a"]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(0, 12))
def test_every_line_that_leaves_a_row_comes_into_the_next(parents: list[int], limit: int) -> None:
    known: list[Checkpoint] = []
    for number, parent in enumerate(parents):
        before = known[parent] if parent < len(known) else None
        known.append(made(f"c{number}", before, number=number))

    found = tree(known)

    nodes = [row for row in found.rows if isinstance(row, Node)]
    ids = [node.checkpoint.checkpoint_id for node in nodes]
    assert sorted(ids) == sorted(one.checkpoint_id for one in known)
    waiting: tuple[int, ...] = ()
    for node in nodes:
        assert node.above == waiting
        assert set(node.joins) <= set(node.above) - {node.lane}
        assert set(node.below) - {node.lane} == set(node.above) - {node.lane, *node.joins}
        waiting = node.below
    assert waiting == ()
    shown = tree(known, limit=limit)
    gaps = sum(row.count for row in shown.rows if isinstance(row, Gap))
    assert gaps + sum(isinstance(row, Node) for row in shown.rows) == len(known)


class _Page(HTMLParser):
    """Fails at a tag or an attribute that could do something."""

    tags = frozenset(
        ("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "div", "span",
         "svg", "path", "circle", "b", "a", "code", "details", "summary", "table", "tr", "td")
    )  # fmt: skip
    drawing = frozenset(
        ("d", "stroke", "stroke-dasharray", "stroke-width", "fill", "cx", "cy", "r", "width",
         "height", "viewbox")
    )  # fmt: skip

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.tags
        plain = {"class", "style", "title", "id", "aria-hidden", "lang"} | self.drawing
        of_meta = {"charset", "name", "content", "http-equiv"}
        allowed = of_meta if tag == "meta" else plain | ({"href"} if tag == "a" else set())
        assert {name for name, _ in attrs} <= allowed
        assert all((value or "").startswith("#c-") for name, value in attrs if name == "href")


def test_pictures_run_nothing_whatever_the_names_are() -> None:
    a = made(EVIL, values={EVIL: EVIL, "n": "1"}, not_saved=(EVIL + "2",), reason=EVIL)
    git = {"commit": EVIL, "tree": "1", "ref": "r", "tag": EVIL,
           "left_out": [{"path": EVIL, "reason": EVIL, "size": 1}]}  # fmt: skip
    b = made(EVIL, a, number=1, git=git, is_trusted=False)
    found = tree([a, b], here=b.checkpoint_id)

    for page in (tree_page(found, title=EVIL), f"<style>{STYLE}</style>{tree_html(found)}"):
        parser = _Page()
        parser.feed(page)
        parser.close()
        assert not re.search("[\0\x1b\u202e]", page)
        assert "not your key" in page
    for line in lines_of(found):
        assert not re.search("[\0\x1b\u202e\n]", line.lanes + line.name + line.changes)
    assert "default-src 'none'" in tree_page(found, title="t")


@pytest.mark.parametrize("lanes", [1, 3, 40])
def test_a_picture_has_a_row_of_one_height_for_each_checkpoint(lanes: int) -> None:
    root = made("root")
    known = [root, *(made(f"c{n}", root, number=n) for n in range(1, lanes))]

    page = tree_html(tree(known))

    assert f'height="{26 * len(known)}"' in page
    assert page.count("<circle") == len(known)
