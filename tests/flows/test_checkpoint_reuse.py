"""Large values: a way back takes over memory that nobody else can see, and reads beside itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint_kernels import kernel_in_git, ran, refused
from tests.forked import Zygote
from tests.kernels import Kernel
from tests.promises import promise

FRAME = (
    "import numpy as np, pandas as pd\n"
    "def block(df): return df._mgr.blocks[0].values\n"
    "def whole(a): return a if a.base is None else a.base\n"
    "def place(a): return whole(a).__array_interface__['data'][0]\n"
    "df = pd.DataFrame(np.arange(3e6).reshape(-1, 10), columns=list('abcdefghij'))\n"
    "df = df.copy(); at_first = df.sum().tolist(); before = place(block(df))"
)
ARRAY = (
    "import numpy as np\nX = np.arange(2_000_000.)\n"
    "def place(a): return a.__array_interface__['data'][0]\n"
    "before = place(X), id(X)"
)

DAMAGE = """
def damage(name, buffer=None):
    import flow_kernel
    shelf = flow_kernel.current_session().checkpoints.shelf
    group = next(g for g in shelf.find('first').groups if name in g.names)
    part = group.stream if buffer is None else group.buffers[buffer]
    placed = shelf.chunks.place(shelf.digests(part)[-1])
    with open(placed.path, 'r+b') as file:
        file.seek(placed.offset + placed.header.head_bytes + 3)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
"""


def soaked(*values: object) -> Any:
    """A case that is behind `make soak`: a kernel, 24 MB and two seconds for each."""
    return pytest.param(*values, marks=pytest.mark.soak)


@pytest.fixture
def kernel(tmp_path: Path, zygote: Zygote) -> Iterator[Kernel]:
    with kernel_in_git(tmp_path / "data", zygote) as kernel:
        yield kernel


@promise("checkpoint.exact")
@pytest.mark.parametrize(
    "change",
    [
        "df = df.drop(columns=['j'])",
        "df.iloc[5, 3] = df.iloc[250_000, 9] = -1.0",
        "df.attrs['note'] = [1]",
        # Each is a part of one above, or changes names alone.
        soaked("df.iloc[5, 3] = -1.0"),
        soaked("df.columns = list('ABCDEFGHIJ')"),
        soaked("df = df.drop(columns=['j']); df.iloc[5, 3] = -1.0"),
    ],
)
def test_a_frame_that_comes_back_lies_where_it_lay(kernel: Kernel, change: str) -> None:
    ran(kernel, FRAME, "%checkpoint first", change, "%rollback first")

    facts = (
        "print(df.sum().tolist() == at_first, [*df.columns], df.attrs, place(block(df)) == before)"
    )
    assert ran(kernel, facts) == f"True {[*'abcdefghij']} {{}} True\n"
    ran(kernel, "df.iloc[7, 7] = 5.0; df['k'] = 1")
    assert ran(kernel, "print(df.iloc[7, 7], df.shape)") == "5.0 (300000, 11)\n"


@promise("checkpoint.exact")
def test_what_has_two_names_lies_where_it_lay_and_has_them_still(kernel: Kernel) -> None:
    ran(kernel, FRAME, "other = df", "%checkpoint first", "df.iloc[5, 3] = -1.0", "%rollback first")

    facts = "print(df.sum().tolist() == at_first, other is df, place(block(df)) == before)"
    assert ran(kernel, facts) == "True True True\n"


@promise("checkpoint.exact")
def test_memory_that_two_variables_share_is_left_to_them(kernel: Kernel) -> None:
    share = "column = df['a']; holder = [df]; raw = block(df)[1]"
    ran(kernel, FRAME, share, "%checkpoint first", "df.iloc[3, 0] = -1.0; raw[0] = -5")
    ran(kernel, "%rollback first")

    facts = "print(df.sum().tolist() == at_first, holder[0] is df, raw[0], column[3])"
    assert ran(kernel, facts) == "True True 1.0 30.0\n"
    ran(kernel, "raw[0] = 7")
    assert ran(kernel, "print(df.iloc[0, 1], holder[0].iloc[0, 1])") == "7.0 7.0\n"


@promise("checkpoint.exact", "rollback.undoable")
def test_an_array_is_written_back_in_place_and_the_way_back_can_be_undone(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "%checkpoint first", "X[3] = X[1_999_999] = -1", "back = %rollback first")
    facts = "print(X[3], X[-1], X.sum() == sum(range(2_000_000)), (place(X), id(X)) == before)"
    assert ran(kernel, facts) == "3.0 1999999.0 True True\n"

    ran(kernel, "%rollback {back.rollback.safety.checkpoint_id}")
    assert ran(kernel, facts) == "-1.0 -1.0 False True\n"


@promise("checkpoint.exact")
@pytest.mark.parametrize(
    ("held", "look"),
    [
        ("df", "it.iloc[3, 0]"),
        ("df['a']", "it.iloc[3]"),
        ("whole(block(df))", "it.flat[3]"),
        ("df._mgr.blocks", "it[0].values.flat[3]"),
        ("memoryview(whole(block(df)))", "np.asarray(it).flat[3]"),
        ("(lambda it: lambda: it)(df)", "it().iloc[3, 0]"),
        # One owner further or nearer than those above, each of which is another kind of holder.
        soaked("df[['a', 'b']]", "it.iloc[3, 0]"),
        soaked("df._mgr", "it.blocks[0].values.flat[3]"),
        soaked("df._mgr.blocks[0]", "it.values.flat[3]"),
        soaked("vars(df)", "it['_mgr'].blocks[0].values.flat[3]"),
        soaked("(frame for frame in [df, df])", "next(it).iloc[3, 0]"),
    ],
)
def test_what_somebody_else_holds_stays_as_it_is(kernel: Kernel, held: str, look: str) -> None:
    ran(
        kernel, FRAME, "%checkpoint first", "df.iloc[3, 0] = -1.0", f"import sys; sys.held = {held}"
    )
    ran(kernel, "%rollback first", "import sys; it = sys.held")

    facts = f"print({look}, df.iloc[3, 0], df.sum().tolist() == at_first)"
    assert ran(kernel, facts) == "-1.0 30.0 True\n"
    ran(kernel, "df.iloc[3, 0] = 7")
    assert ran(kernel, facts) == "-1.0 7.0 False\n"


@promise("checkpoint.exact", "rollback.undoable")
@pytest.mark.parametrize(
    "spoil",
    [
        "X[0] = X[-1] = -1; del text; spoiled = 1",
        "X[0] = X[-1] = -1; del first; spoiled = 1",
        # Between those two in the order of writing.
        soaked("X[0] = X[-1] = -1; del big; spoiled = 1"),
    ],
)
def test_what_was_written_in_place_is_taken_back_where_another_part_is_damaged(
    kernel: Kernel, spoil: str
) -> None:
    """Whichever comes before it or after it."""
    names = "text = ['x' * 9] * 50; big = np.arange(10.); first = {1: [2]}"
    ran(kernel, ARRAY, names, "%checkpoint first --wait", spoil, "%checkpoint second --wait")
    lost = spoil.partition("del ")[2].partition(";")[0]
    ran(kernel, DAMAGE, f"damage({lost!r})")

    said = refused(kernel, "%rollback first")
    assert f"{lost} cannot be loaded" in said
    assert "nothing was changed" in said
    assert ran(kernel, "print(X[0], X[-1], X[1], place(X) == before[0])") == "-1.0 -1.0 1.0 True\n"


@promise("checkpoint.exact")
def test_a_damaged_piece_is_not_written_and_the_others_are_taken_back(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "%checkpoint first --wait", "X[0] = X[-1] = -1", "%checkpoint --wait")
    ran(kernel, DAMAGE, "damage('X', buffer=-1)")

    assert "X cannot be loaded" in refused(kernel, "%rollback first")
    assert ran(kernel, "print(X[0], X[-1], X[1], (place(X), id(X)) == before)") == (
        "-1.0 -1.0 1.0 True\n"
    )


@promise("checkpoint.exact", "rollback.undoable")
def test_what_was_written_in_place_is_taken_back_where_the_files_refuse(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "%checkpoint first --wait", "X[0] = -1; open('made.txt', 'w').write('new');")
    ran(kernel, "from pathlib import Path\nblob = !printf 'at first' | git hash-object --stdin")
    ran(kernel, "next(Path('.git/objects', blob[0][:2]).glob(blob[0][2:])).unlink()")

    said = refused(kernel, "%rollback first")
    assert "nothing was changed" in said, said
    assert ran(kernel, "print(X[0], open('made.txt').read())") == "-1.0 new\n"


@promise("checkpoint.exact")
def test_types_that_are_only_equal_are_not_the_same(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "X = np.zeros(1_000_000, np.dtype('f8', metadata={'unit': 'm'}))")
    ran(kernel, "%checkpoint first", "X = np.zeros(1_000_000)", "%rollback first")
    assert ran(kernel, "print(X.dtype.metadata)") == "{'unit': 'm'}\n"
    ran(
        kernel, "X = np.zeros(1_000_000, 'q')", "%checkpoint second", "X = np.zeros(1_000_000, 'l')"
    )
    assert ran(kernel, "%rollback second", "print(X.dtype.char)") == "q\n"


@promise("checkpoint.exact", "rollback.undoable")
def test_code_of_other_classes_sees_no_memory_of_the_session(kernel: Kernel) -> None:
    (kernel.cwd / "careful.py").write_text(
        "class Frozen:\n"
        "    def __setstate__(self, state):\n"
        "        vars(self).update(state)\n"
        "        self.w += 1\n"
        "        self.w.setflags(write=False)\n"
    )
    made = "import careful; first = careful.Frozen(); first.w = np.arange(1e6)"
    ran(kernel, ARRAY, made, "%checkpoint first --wait", "first = np.arange(1e6); X[-1] = -1")
    ran(kernel, "%checkpoint second --wait", DAMAGE, "damage('X', buffer=-1)")

    assert "X cannot be loaded" in refused(kernel, "%rollback first")
    assert ran(kernel, "print(first[0], first.flags.writeable)") == "0.0 True\n"


@promise("checkpoint.exact")
def test_nothing_is_written_in_place_while_another_thread_may_write_too(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "%checkpoint first")
    ran(
        kernel, "import threading; go = threading.Event()\nthreading.Thread(target=go.wait).start()"
    )
    ran(kernel, "X[0] = -1", "import sys; sys.go = go", "%rollback first")

    assert ran(kernel, "print(X[0], place(X) == before[0])") == "0.0 False\n"
    ran(kernel, "import sys; sys.go.set()")


SESSION = (
    "import numpy as np, pandas as pd\n"
    "X = np.arange(3e6); F = np.asfortranarray(X[:2_400_000].reshape(-1, 8))\n"
    "df = pd.DataFrame(X.reshape(-1, 6), columns=list('uvwxyz')); pair = [X, df]; n = {'a': [1]}\n"
    "alone = np.ones(3_000_000, 'i4'); dates = pd.date_range('2020', periods=2_500_000, freq='s')\n"
    "class C:\n    def f(self): return n\nc = C()"
)
SAME = (
    "print(X.sum(), F.flags.f_contiguous, F.sum(), df.shape, float(df.to_numpy().sum()), "
    "pair[0] is X, pair[1] is df, np.shares_memory(X, df), alone.sum(), alone.dtype, dates[-1], "
    "c.f() is n, n)"
)


@promise("checkpoint.exact", "checkpoint.elsewhere")
def test_large_and_small_come_back_into_a_new_kernel(kernel: Kernel, tmp_path: Path) -> None:
    said = ran(kernel, SESSION, "%checkpoint first --wait", SAME)
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "FLOW_HOME": str(kernel.home)}
    for imports in ("", "import numpy, pandas"):
        with Kernel(env=env) as other:
            ran(other.ready(), imports, "%rollback first --state")
            assert ran(other, SAME) == said


@promise("checkpoint.exact")
@pytest.mark.parametrize(
    # An array of its own is damaged as one that another shares, which is the larger of the two.
    ("name", "buffer"),
    [soaked("alone", -1), ("n", None), ("F", -1)],
)
def test_whatever_of_large_and_small_is_damaged_nothing_is_changed(
    kernel: Kernel, name: str, buffer: int | None
) -> None:
    ran(kernel, SESSION, "%checkpoint first --wait", DAMAGE, f"damage({name!r}, {buffer})")
    ran(kernel, "del X, F, df, pair, n, alone, dates, C, c")

    said = refused(kernel, "%rollback first --state")
    assert f"{name} cannot be loaded" in said or f"{name}," in said or f", {name}" in said, said
    assert "nothing was changed" in said
    assert ran(kernel, "print('X' in dir(), 'damage' in dir())") == "False True\n"
