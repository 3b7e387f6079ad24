"""What people see of checkpoints: pictures, words, recipes; no saved value is ever loaded."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoint_kernels import flow, kernel_in_git, ran, refused
from tests.forked import Zygote
from tests.kernels import Kernel
from tests.promises import promise

TRAP = (
    "import os\nclass Trap:\n"
    "    def __reduce__(self): return (os.mkdir, ({path!r},))\n"
    "trap = Trap(); g = (i for i in [1]); n = 1"
)


@pytest.fixture
def kernel(tmp_path: Path, lean: Zygote) -> Iterator[Kernel]:
    with kernel_in_git(tmp_path / "data", lean) as kernel:
        yield kernel


def document(kernel: Kernel, *arguments: str) -> "dict[str, object]":
    done = flow(kernel, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def html(kernel: Kernel, cell: str) -> str:
    [shown] = kernel.run(cell).of("execute_result")
    return str(shown["content"]["data"]["text/html"])


def forked(kernel: Kernel) -> None:
    """Three checkpoints: `b` and `c` both came of `a`."""
    ran(kernel, "n = 1; m = [1]", "%checkpoint a", "n = 2; late = 1", "%checkpoint b")
    ran(kernel, "%rollback a", "m.append(2); open('made.txt', 'w').write('c');", "%checkpoint c")


@promise("checkpoint.pictured")
def test_the_tree_shows_what_came_of_what_and_where_the_session_is(kernel: Kernel) -> None:
    forked(kernel)

    lines = [line.split() for line in ran(kernel, "%checkpoint tree").splitlines()]

    assert [line[:2] for line in lines[:1]] == [["●", "c"]]
    assert " ".join(lines[0]).endswith("you are here · ~m · files")
    assert lines[-1][:2] == ["○─╯", "a"]
    assert "+late ~n" in " ".join(lines[-2])
    page = html(kernel, "%checkpoint list")
    assert page.count("<circle") == 4
    assert "you are here" in page
    assert "<script" not in page


@promise("checkpoint.pictured")
def test_another_process_draws_the_same_tree_as_text_as_a_page_and_for_programs(
    kernel: Kernel,
) -> None:
    forked(kernel)

    items = document(kernel, "checkpoints", "tree")["items"]
    text = flow(kernel, "checkpoints", "tree").stdout
    wrote = flow(kernel, "checkpoints", "tree", "--html", "tree.html")

    assert isinstance(items, list)
    told = {one["name"]: (one["change"], one["is_here"]) for one in items}
    assert told["c"] == (
        {"added": [], "changed": ["m"], "removed": [], "has_files": True},
        True,
    )
    assert told["b"][0]["added"] == ["late"]
    assert "●    c" in text
    assert (wrote.returncode, wrote.stdout) == (0, "wrote tree.html\n")
    assert "<circle" in (kernel.cwd / "tree.html").read_text("utf-8")


@promise("checkpoint.named")
def test_a_difference_tells_what_variables_held_before_and_after(kernel: Kernel) -> None:
    forked(kernel)

    assert ran(kernel, "%checkpoint diff a b").splitlines() == [
        "a → b",
        "  + late  1",
        "  ~ n     1 → 2",
    ]
    told = document(kernel, "diff", "a", "c")
    assert told == {
        "added": [],
        "changed": ["m"],
        "removed": [],
        "files": {"added": [], "changed": ["made.txt"], "removed": []},
        "summaries": {"m": {"before": "[1]", "after": "[1, 2]"}},
    }
    assert "~ m  [1] → [1, 2]" in flow(kernel, "diff", "a", "c").stdout


@promise("checkpoint.named")
def test_showing_one_tells_its_variables_its_files_and_how_to_rebuild_what_is_not_in_it(
    kernel: Kernel,
) -> None:
    ran(kernel, "data = [1, 2]", "g = (i for i in data)", "!head -c 6000000 /dev/zero > big.bin")
    ran(kernel, "%checkpoint a")

    said = ran(kernel, "%checkpoint show a")
    outside = flow(kernel, "checkpoints", "show", "a").stdout

    for text in (said, outside):
        assert "  data        [1, 2]\n" in text
        assert "files: commit " in text
        assert "copied; to rebuild it: run cell [2]" in text
        assert "1 large file of 6.0 MB" in text


@promise("rollback.recipe")
def test_a_way_back_names_the_cells_that_make_again_what_was_lost(kernel: Kernel) -> None:
    ran(kernel, "import os", "data = [1, 2]", "os.remove('made.txt'); g = (i for i in data)")
    ran(kernel, "%checkpoint a", "del g", "data.append(3)", "back = %rollback a --state")

    told = ran(kernel, "print(back)").splitlines()
    assert told[-2:] == [
        "  to rebuild g: run cell [3]",
        "    [3] os.remove('made.txt'); g = (i for i in data)  (it deletes files or tables)",
    ]
    assert ran(kernel, "[c.execution_count for c in back.recipes[0].cells]") == "[3]"
    done = kernel.run("next(g)")
    assert "g was not restored: a generator cannot be kept" in done.reply["evalue"]
    assert done.reply["evalue"].endswith("; to make it again, run cell [3]")
    assert ran(kernel, "import os; os.path.exists('made.txt')") == "False"


@promise("rollback.recipe")
def test_a_tombstone_says_why_in_the_checkpoints_that_come_after_it(kernel: Kernel) -> None:
    ran(kernel, "g = (i for i in [1])", "%checkpoint a", "del g", "%rollback a --state")

    said = ran(kernel, "%checkpoint b")

    assert "g was not restored: a generator cannot be kept in a checkpoint" in said


@promise("checkpoint.named")
def test_a_wrong_name_is_answered_with_those_that_are_near(kernel: Kernel) -> None:
    ran(kernel, "n = 1", "%checkpoint cleaned")

    for line in ("%rollback cleand", "%checkpoint show clean"):
        assert "did you mean cleaned?" in refused(kernel, line)
    done = flow(kernel, "checkpoints", "show", "claned")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean cleaned?" in done.stderr


@promise("checkpoint.named")
def test_pruning_says_what_it_would_delete_until_it_is_told_to(kernel: Kernel) -> None:
    ran(kernel, "n = 1", "%checkpoint a", "%checkpoint b", "%checkpoint c")

    assert "2 checkpoints would be deleted" in ran(kernel, "%checkpoint prune --keep 1")
    assert ran(kernel, "many = %checkpoint list\nprint(len(many))") == "3\n"
    assert "2 checkpoints deleted" in ran(kernel, "%checkpoint prune --keep 1 --yes")
    assert "(what was before it is deleted)" in ran(kernel, "%checkpoint tree")


@promise("checkpoint.named")
def test_names_verbs_and_options_are_completed(kernel: Kernel) -> None:
    ran(kernel, "%checkpoint a", '%checkpoint "two words"')

    for line, offered in (
        ("%checkpoint ", {"list", "tree", "show", "diff", "verify", "prune", "--tag"}),
        ("%checkpoint show ", {"'two words'", "a"}),
        ("%checkpoint prune ", {"--keep", "--yes"}),
        ("%rollback ", {"'two words'", "a", "--state", "--dry-run", "--trust"}),
    ):
        found = kernel.ask("complete_request", {"code": line, "cursor_pos": len(line)})

        assert offered <= set(found["matches"]), line


@promise("rollback.undoable")
def test_files_go_back_from_outside_and_that_can_be_undone(kernel: Kernel) -> None:
    ran(kernel, "n = 1", "%checkpoint a", "open('made.txt', 'w').write('changed'); n = 2")
    made = kernel.cwd / "made.txt"

    assert flow(kernel, "rollback", "a").returncode == 2
    dry = document(kernel, "rollback", "a", "--files", "--dry-run")
    assert (dry["files"], made.read_text()) == (
        {"added": [], "changed": ["made.txt"], "removed": []},
        "changed",
    )
    done = document(kernel, "rollback", "a", "--files")
    assert (made.read_text(), ran(kernel, "print(n)")) == ("at first", "2\n")
    # It knows no variable, so going back to it takes none away.
    ran(kernel, f"dry = %rollback {done['safety_id']} --dry-run")
    assert ran(kernel, "print(dry.rollback.removed)") == "[]\n"
    document(kernel, "rollback", str(done["safety_id"]), "--files")
    assert made.read_text() == "changed"


@promise("checkpoint.foreign")
@pytest.mark.parametrize("is_foreign", [False, True])
def test_nothing_but_a_way_back_loads_what_is_in_a_checkpoint(
    kernel: Kernel, tmp_path: Path, *, is_foreign: bool
) -> None:
    mark = tmp_path / "sprung"
    ran(kernel, "%task start Look", TRAP.format(path=str(mark)), "%checkpoint trap")
    ran(kernel, "n = 2", "%checkpoint after", "del trap")
    if is_foreign:
        (tmp_path / "data/flow/key").write_text("ab" * 32 + "\n")
        kernel.restart()

    for line in ("list", "tree", "show trap", "diff trap after", "diff trap", "verify", "prune"):
        html(kernel, f"%checkpoint {line}")
    kernel.run("%rollback trap --dry-run --trust")
    kernel.run("%flow report")
    for line in ("%checkpoint show ", "%rollback "):
        assert "trap" in str(
            kernel.ask("complete_request", {"code": line, "cursor_pos": len(line)})
        )
    for words in ("checkpoints", "checkpoints tree --html t.html", "checkpoints show trap",
                  "checkpoints verify", "diff trap after", "rollback trap --files", "report",
                  "check"):  # fmt: skip
        assert flow(kernel, *words.split()).returncode == 0, words
        if is_foreign:
            assert flow(kernel, *words.split(), "--json").returncode == 0, words
    if is_foreign:
        assert "not signed with your key" in refused(kernel, "%rollback trap --state")
        refusal = flow(kernel, "checkpoints", "restore", "trap", "--json")
        assert json.loads(refusal.stdout)["error"]["type"] == "UntrustedCheckpoint"
        assert refusal.returncode == 4

    assert not mark.exists()
    # The trap is one: a way back springs it.
    ran(kernel, f"%rollback trap --state {'--trust' if is_foreign else ''}")
    assert mark.exists()
