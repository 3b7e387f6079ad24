"""Checkpoints on the screen: what a user named does no harm, and long lists stay readable."""

import re

import pytest

from flow_kernel.session.checkpoints.checkpoint import LeftName, differing
from flow_kernel.session.checkpoints.recipe import Recipe, RecipeCell
from flow_kernel.session.checkpoints.rollback import Rollback
from flow_kernel.session.checkpoints.shelf import Trouble
from flow_kernel.shell.views.checkpoint_display import (
    CheckpointCard,
    CheckpointPage,
    DifferenceCard,
    PruneCard,
    RollbackCard,
    VerifyCard,
)
from flow_kernel.shell.views.checkpoint_list import CheckpointList
from flow_kernel.store.git.rules import FileChanges
from tests.session.made_checkpoints import line_of, made

EVIL = "<script>alert(1)</script>\x1b[31m\u202e\0\"'"
GIT = {"commit": EVIL, "tree": "1", "ref": "r", "tag": EVIL,
       "left_out": [{"path": EVIL, "reason": EVIL, "size": 1}]}  # fmt: skip
A = made(EVIL, values={EVIL: EVIL, "n": "1"}, not_saved=(EVIL + "g",), libraries={EVIL: EVIL})
B = made(EVIL, A, number=1, git=GIT, reason=EVIL, step=EVIL, is_trusted=False)
FILES = FileChanges(added=[EVIL], changed=[EVIL], removed=[EVIL])
RECIPE = Recipe(
    name=EVIL,
    cells=(RecipeCell(seq=1, execution_count=None, code=EVIL, risks=("deletes files",)),),
    changed_since=(EVIL,),
)
BACK = Rollback(
    target=B,
    safety=A,
    restored=[EVIL],
    removed=[EVIL],
    lost=[LeftName(name=EVIL, type=EVIL, reason=EVIL)],
    kept=[EVIL],
    files=FILES,
    files_reason=EVIL,
    is_dry_run=False,
)
ANSWERS = {
    "card": CheckpointCard(B),
    "page": CheckpointPage(B, [RECIPE]),
    "list": CheckpointList([A, B], {EVIL: EVIL}, here=B.checkpoint_id),
    "tree": CheckpointList([A, B], {EVIL: EVIL}, is_tree=True),
    "difference": DifferenceCard(A, B, differing(A, B, FILES)),
    "rollback": RollbackCard(BACK, [RECIPE], [EVIL]),
    "verify": VerifyCard(1, [Trouble(EVIL, (EVIL,), EVIL)], {EVIL: EVIL}),
    "prune": PruneCard(None, count=2, keep=1),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_user_named_is_harmless_in_text_and_in_html(name: str) -> None:
    answer = ANSWERS[name]

    page = answer._repr_html_()
    tags = set(re.findall(r"<\s*/?\s*(\w+)", page))
    assert tags <= {"style", "div", "span", "b", "ul", "li", "dl", "dt", "dd", "svg", "path",
                    "circle", "code", "em"}  # fmt: skip
    assert not re.search("[\0\x1b\u202e]", page)
    assert not re.search("[\0\x1b\u202e]", repr(answer))


def test_a_list_is_a_value_and_shows_how_many_it_leaves_out() -> None:
    known = line_of(200)
    found = CheckpointList(known, {}, here=known[3].checkpoint_id)

    assert (len(found), found[3].name, [one.name for one in found[-1:]]) == (200, "c3", ["c199"])
    lines = repr(found).splitlines()
    assert lines[0] == "… 140 older ones are not shown"
    assert len(lines) == 62
    picture = repr(CheckpointList(known, {}, here=known[100].checkpoint_id, is_tree=True))
    assert "you are here" in picture
    assert "more, not shown" in picture
    assert len(picture.splitlines()) <= 64
    assert "more</span>" in found._repr_html_()


def test_lines_of_a_tree_fit_a_screen_of_80_columns() -> None:
    names = {f"variable_{number}": str(number) for number in range(20)}
    known = [made("a name that is rather long for a column", values={"n": "1"})]
    known.append(made("b", known[0], number=1, values=names))

    assert max(map(len, repr(CheckpointList(known, {}, is_tree=True)).splitlines())) <= 80


def test_a_foreign_checkpoint_says_what_restoring_it_would_mean() -> None:
    assert "is code of whoever made it, which restoring would run" in repr(CheckpointPage(B))


def test_an_answer_of_verify_is_false_when_something_is_wrong() -> None:
    assert not ANSWERS["verify"]
    assert VerifyCard(2, [], {})
