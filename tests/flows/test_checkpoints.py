"""The time machine in real kernels: exact, verified, undoable, and never in the way."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint_kernels import flow, kernel_in_git, ran, refused
from tests.forked import Zygote
from tests.kernels import Kernel
from tests.promises import promise

SESSION = (
    "import numpy as np, pandas as pd\n"
    "df = pd.DataFrame({'x': range(5)}); column = df['x'].to_numpy(); n = 1\n"
    "X = np.arange(6.); view = X[::2]; shared = [1]; holder = {'it': shared}\n"
    "def count(): return n\n"
)
CHANGED = (
    "df.loc[0, 'x'] = 9; X[0] = -1; shared.append(2); n = 2; late = 1\n"
    "open('made.txt', 'w').write('changed'); open('late.txt', 'w').write('x');"
)
FACTS = (
    "import os; print(df.x[0], X[0], view[0], np.shares_memory(X, view), shared, "
    "holder['it'] is shared, count(), 'late' in dir(), open('made.txt').read(), "
    "os.path.exists('late.txt'))"
)
BEFORE = "0 0.0 0.0 True [1] True 1 False at first False\n"
AFTER = "9 -1.0 -1.0 True [1, 2] True 2 True changed True\n"


@pytest.fixture
def kernel(tmp_path: Path, lean: Zygote) -> Iterator[Kernel]:
    with kernel_in_git(tmp_path / "data", lean) as kernel:
        yield kernel


def segments(kernel: Kernel) -> list[Path]:
    return sorted((kernel.home / "objects/segments").glob("*.seg"))


@promise("checkpoint.exact", "rollback.undoable")
def test_variables_and_files_come_back_exactly_and_going_back_can_be_undone(
    kernel: Kernel,
) -> None:
    ran(kernel, SESSION, "%checkpoint first", CHANGED)
    assert ran(kernel, FACTS) == AFTER

    told = ran(kernel, "back = %rollback first")
    assert ran(kernel, FACTS) == BEFORE
    ran(kernel, "%rollback {back.rollback.safety.checkpoint_id}")
    assert ran(kernel, FACTS) == AFTER
    assert told == ""


@promise("checkpoint.exact")
def test_what_did_not_change_stays_the_same_object(kernel: Kernel) -> None:
    ran(kernel, SESSION, "kept = [list(range(1000))]; before = id(kept)", "%checkpoint")
    ran(kernel, "n = 5", "%rollback -1")

    assert ran(kernel, "print(id(kept) == before, n)") == "True 1\n"


@promise("checkpoint.exact")
def test_what_was_deleted_comes_back_and_what_came_later_goes(kernel: Kernel) -> None:
    ran(kernel, "a = [1]; b = 2; c = {'k': a}", "%checkpoint first", "n = 1", "%checkpoint second")
    ran(kernel, "del b", "%rollback first")
    assert ran(kernel, "print(b, 'n' in dir(), c['k'] is a)") == "2 False True\n"
    ran(kernel, "del a, c", "%rollback second")
    assert ran(kernel, "print(a, b, n, c['k'] is a)") == "[1] 2 1 True\n"
    ran(kernel, "del a, b, c, n", "%rollback first")
    assert ran(kernel, "print(a, b, 'n' in dir(), c['k'] is a)") == "[1] 2 False True\n"


@promise("checkpoint.exact")
def test_a_dry_run_says_what_would_change_and_changes_nothing(kernel: Kernel) -> None:
    ran(kernel, SESSION, "%checkpoint first", CHANGED, "dry = %rollback first --dry-run")

    assert ran(kernel, FACTS) == AFTER
    said = ran(kernel, "print(dry.rollback.restored, dry.rollback.removed, dry.rollback.files)")
    assert said == (
        "['X', 'column', 'df', 'holder', 'n', 'shared', 'view'] ['late'] "
        "FileChanges(added=[], changed=['made.txt'], removed=['late.txt'])\n"
    )


@promise("checkpoint.named")
def test_what_cannot_be_kept_is_said_and_a_touch_of_it_says_it_again(kernel: Kernel) -> None:
    said = ran(
        kernel,
        "import threading\ng = (i for i in range(3))\nP = threading.Lock()\nn = 1",
        "%checkpoint a",
    )
    assert "not kept: g (generator): a generator that has begun cannot be copied" in said
    assert "not kept: P (_thread.lock): " in said

    assert "left as they are" in ran(kernel, "n = 2", "%rollback a")
    assert ran(kernel, "print(next(g), n)") == "0 1\n"

    assert "not restored: g (generator); made by record 2" in ran(kernel, "del g", "%rollback a")
    done = kernel.run("next(g)")
    assert done.status == "error"
    assert "cannot be kept in a checkpoint" in done.reply["evalue"]


@promise("checkpoint.named")
def test_an_object_at_the_address_of_one_that_could_not_be_kept_is_another(kernel: Kernel) -> None:
    ran(kernel, "x = (i for i in range(3)); where = id(x)", "%checkpoint a")
    ran(
        kernel,
        "others = []\nwhile others[-1:] != [where]: del x; "
        "x = (i for i in range(9)); others.append(id(x))",
    )

    assert "not restored: x" in ran(kernel, "%rollback a")
    assert "x was not restored" in ran(kernel, "print(x)")


@promise("checkpoint.verified")
def test_a_damaged_part_is_named_and_nothing_is_changed(kernel: Kernel) -> None:
    ran(kernel, SESSION, "%checkpoint first")
    [path] = segments(kernel)
    data = bytearray(path.read_bytes())
    for place in range(200, len(data), 100):
        data[place] ^= 4
    path.write_bytes(data)
    ran(kernel, CHANGED)

    said = refused(kernel, "%rollback first")
    assert "nothing was changed" in said
    assert ran(kernel, FACTS) == AFTER
    verified = flow(kernel, "checkpoints", "verify", "--json")
    assert verified.returncode == 1
    assert [one["reason"] for one in json.loads(verified.stdout)["damaged"]]


@promise("checkpoint.foreign")
def test_a_foreign_checkpoint_is_shown_and_never_run_unless_it_is_trusted(
    kernel: Kernel, tmp_path: Path
) -> None:
    ran(kernel, "n = 1", "%checkpoint first", "n = 2")
    (tmp_path / "data/flow/key").write_text("ab" * 32 + "\n")
    kernel.restart()
    ran(kernel, "n = 3")

    listed = json.loads(flow(kernel, "checkpoints", "--json").stdout)["items"]
    assert [one["name"] for one in listed] == ["first"]
    assert flow(kernel, "checkpoints", "verify").returncode == 0
    assert "not signed with your key" in refused(kernel, "%rollback first")
    assert ran(kernel, "print(n)") == "3\n"
    assert ran(kernel, "%rollback first --state --trust", "print(n)") == "1\n"


@promise("checkpoint.survives")
def test_a_checkpoint_outlives_its_kernel(kernel: Kernel) -> None:
    ran(kernel, SESSION, "%checkpoint first")
    kernel.fatal("import os; os.kill(os.getpid(), 9)")
    kernel.restart()
    told = kernel.run("1").stderr

    assert "UTC come back with: %rollback" in told
    ran(kernel, "%rollback first")
    assert ran(kernel, FACTS) == BEFORE


@promise("checkpoint.survives")
def test_what_is_offered_after_a_death_is_where_the_session_had_gone_back_to(
    kernel: Kernel,
) -> None:
    ran(kernel, "n = 1", "%checkpoint first", "n = 2", "%checkpoint second", "%rollback first")
    kernel.fatal("import os; os.kill(os.getpid(), 9)")
    kernel.restart()
    told = kernel.run("1").stderr

    offered = told.partition("come back with: ")[2].partition("\n")[0]
    ran(kernel, offered)
    assert ran(kernel, "print(n)") == "1\n"


@promise("checkpoint.survives")
def test_a_kernel_killed_at_any_moment_has_all_the_checkpoints_it_told_of(
    kernel: Kernel,
) -> None:
    dice = random.Random(5)
    for turn in range(3):
        ran(kernel, "import numpy as np", f"base = {turn}")
        told = [
            ran(kernel, f"n = [{turn}, {i}]; big = np.arange({i} + 50_000)", "%checkpoint")
            for i in range(dice.randrange(1, 4))
        ]
        kernel.send(
            "for i in range(10**6):\n"
            "    n = [i]; print('at', i, flush=True)\n"
            "    get_ipython().run_line_magic('checkpoint', '')"
        )
        kernel.wait_for_text(f"at {dice.randrange(3)}")
        kernel.kill()
        kernel.restart()
        kernel.run("1")
        ids = [text.partition("[")[2].partition("]")[0] for text in told]
        ran(kernel, f"%rollback {ids[-1]} --state")
        assert (
            ran(kernel, "print(n, len(big))") == f"[{turn}, {len(ids) - 1}] {len(ids) + 49_999}\n"
        )
    assert flow(kernel, "checkpoints", "verify").returncode == 0


@promise("checkpoint.harmless")
def test_a_class_that_kills_whoever_saves_it_costs_only_its_own_variable(kernel: Kernel) -> None:
    ran(
        kernel,
        "import os, fractions\n"
        "class Deadly(fractions.Fraction):\n"
        "    def __reduce__(self): os.abort()\n"
        "class Leaving(Deadly):\n"
        "    def __reduce__(self): os._exit(7)\n"
        "deadly, leaving, n = Deadly(1), Leaving(2), 1",
    )
    said = ran(kernel, "%checkpoint first")

    assert "not kept: deadly (__main__.Deadly): saving it died of SIGABRT" in said
    assert "not kept: leaving (__main__.Leaving): saving it ended its process (7)" in said
    assert ran(kernel, "n = 2", "%rollback first", "print(n, deadly)") == "1 1\n"


@promise("checkpoint.harmless")
def test_the_users_git_is_as_it_was(kernel: Kernel) -> None:
    ran(kernel, "!git -c user.name=a -c user.email=b commit -qm first && git add -A")
    look = (
        "!git status --porcelain; git for-each-ref refs/heads refs/tags; git stash list; "
        "md5sum .git/index"
    )
    before = ran(kernel, look)
    ran(kernel, "%checkpoint one", "n = 1", "%checkpoint two", "%rollback one")

    assert ran(kernel, look) == before


@promise("checkpoint.named")
def test_a_tag_that_points_elsewhere_fails_the_checkpoint_and_changes_nothing(
    kernel: Kernel,
) -> None:
    ran(kernel, "%checkpoint step --tag", "open('made.txt', 'w').write('more');")

    assert "points elsewhere" in refused(kernel, "%checkpoint step --tag")
    assert len(json.loads(flow(kernel, "checkpoints", "--json").stdout)["items"]) == 1


@promise("checkpoint.named")
def test_another_process_lists_compares_and_prunes(kernel: Kernel) -> None:
    ran(kernel, SESSION, "%checkpoint first", CHANGED, "%checkpoint second")

    items = json.loads(flow(kernel, "checkpoints", "--json").stdout)["items"]
    assert [(one["name"], one["reason"], one["parent_id"]) for one in items] == [
        ("first", "asked", None),
        ("second", "asked", items[0]["checkpoint_id"]),
    ]
    difference = json.loads(flow(kernel, "diff", "first", "second", "--json").stdout)
    assert difference["added"] == ["late"]
    assert difference["changed"] == ["X", "column", "df", "holder", "n", "shared", "view"]
    assert flow(kernel, "checkpoints", "prune", "--keep", "1").returncode == 2
    assert flow(kernel, "checkpoints", "prune", "--keep", "1", "--yes").returncode == 0
    assert "no checkpoint" in refused(kernel, "%rollback first")
    assert ran(kernel, "n = 7", "%rollback second", "print(n)") == "2\n"


@promise("checkpoint.named")
def test_what_the_magics_load_is_no_import_of_their_cell(kernel: Kernel) -> None:
    ran(kernel, "n = 1", "%checkpoint first", "%rollback first")

    cells = [r["added_imports"] for r in kernel.logs.records() if r["kind"] == "cell"]
    assert [name for names in cells for name in names if name.startswith("flow_kernel")] == []


@promise("checkpoint.named")
def test_checkpoints_and_ways_back_are_in_the_log(kernel: Kernel) -> None:
    ran(kernel, "n = 1", "%checkpoint first", "n = 2", "%rollback first")

    records: list[dict[str, Any]] = kernel.logs.records()
    kinds = [r["kind"] for r in records if r["kind"] in ("checkpoint", "rollback")]
    assert kinds == ["checkpoint", "checkpoint", "rollback"]
    back = next(r for r in records if r["kind"] == "rollback")
    assert (back["restored"], back["removed"], back["what"]) == (["n"], [], "all")


@promise("checkpoint.named")
def test_a_wrong_line_is_one_sentence(kernel: Kernel) -> None:
    for line in (
        "%checkpoint show", "%checkpoint --bad", "%checkpoint diff", "%rollback", "%rollback -9",
        "%rollback x --state --files", "%checkpoint prune --keep 0", "%checkpoint 'a",
    ):  # fmt: skip
        said = refused(kernel, line)
        assert said.startswith("UsageError: %"), line
        assert len(said.strip().splitlines()) == 1


@promise("checkpoint.harmless")
def test_an_interrupt_stops_a_checkpoint_and_leaves_nothing_of_it(kernel: Kernel) -> None:
    ran(
        kernel,
        "import fractions, time\n"
        "class Slow(fractions.Fraction):\n"
        "    def __reduce__(self): open('began', 'w').close(); time.sleep(600)\n"
        "slow = Slow(1)",
    )
    request = kernel.send("%checkpoint first")
    kernel.wait((kernel.cwd / "began").exists)
    kernel.interrupt()

    assert kernel.collect(request).reply["ename"] == "KeyboardInterrupt"
    assert ran(kernel, "%checkpoint list") == "no checkpoints yet"
    assert ran(kernel, "!git for-each-ref refs/mcp") == ""
    assert ran(kernel, "del slow", "n = 1", "%checkpoint", "n = 2", "%rollback -1", "print(n)") == (
        "1\n"
    )


@promise("rollback.undoable")
@pytest.mark.parametrize("line", ["%rollback a --state", "session.rollback('a', what='state')"])
def test_an_interrupt_in_the_middle_of_a_way_back_comes_when_it_is_whole(
    kernel: Kernel, line: str
) -> None:
    ran(
        kernel,
        "import ctypes, functools, flow_kernel; session = flow_kernel.current_session()\n"
        "class Interrupts:  # whoever drops it, before his next instruction\n"
        "    __del__ = staticmethod(functools.partial(getattr(ctypes.CDLL(None), 'raise'), 2))",
        "n = 1",
        "%checkpoint a --wait",
        "among = Interrupts(); born = 1; n = 2",
    )
    assert kernel.run(line).reply.get("ename") == "KeyboardInterrupt"

    head = "session.checkpoints.shelf.find(session.checkpoints.head_id).name"
    assert ran(kernel, f"print(n, 'among' in dir(), 'born' in dir(), {head})") == (
        "1 False False a\n"
    )


@promise("rollback.undoable")
def test_a_way_back_that_the_log_cannot_note_is_one_all_the_same(kernel: Kernel) -> None:
    ran(
        kernel,
        "import resource; limit = resource.getrlimit(resource.RLIMIT_FSIZE)",
        "n = 1",
        "%checkpoint a --wait",
        "n = 2",
        "%checkpoint b --wait",
    )
    done = kernel.run(
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1, limit[1]))\n"
        "card = get_ipython().run_line_magic('rollback', 'a --state')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limit)\n"
        "print(n, card)"
    )

    assert done.status == "ok"
    assert "1 went back to a\n" in done.stdout
    assert "the log could not note it: " in done.stdout
    assert "nothing was changed" not in done.stdout
    assert ran(kernel, "%rollback b --state", "print(n)") == "2\n"


@promise("checkpoint.exact", "rollback.undoable")
def test_what_a_cell_has_changed_before_it_goes_back_is_undone_and_can_be_had_again(
    kernel: Kernel,
) -> None:
    ran(kernel, "from flow_kernel import current_session", "x = [1]", "%checkpoint a --wait")
    ran(kernel, "q = 0", "%checkpoint b --wait")
    ran(kernel, "x.append(99)\n%rollback b --state")
    assert ran(kernel, "print(x)") == "[1]\n"
    ran(
        kernel,
        "%rollback -1 --state",
        "x.append(5); current_session().rollback('b', what='state');",
    )
    assert ran(kernel, "print(x)") == "[1]\n"
    said = ran(kernel, "%checkpoint list")
    assert "safety" in said


@promise("checkpoint.survives")
def test_what_a_full_disk_refused_does_not_fill_it(kernel: Kernel) -> None:
    ran(kernel, "import os, resource; n = 1", "%checkpoint first")
    before = sum(path.stat().st_size for path in segments(kernel))
    ran(kernel, "limits = resource.getrlimit(resource.RLIMIT_FSIZE)")
    ran(kernel, "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, limits[1]))")
    said = refused(kernel, "big = os.urandom(20_000_000); n = 2\n%checkpoint second --wait")
    assert "File too large" in said
    assert sum(path.stat().st_size for path in segments(kernel)) <= before
    ran(kernel, "resource.setrlimit(resource.RLIMIT_FSIZE, limits)", "%checkpoint third --wait")
    ran(kernel, "n = 3; del big", "%rollback third")
    assert ran(kernel, "print(n, len(big))") == "2 20000000\n"
    ran(kernel, "%rollback first")
    assert ran(kernel, "print(n)") == "1\n"
