"""A cell is judged by its code and by what it was given, never by luck."""

from collections.abc import Iterator

import pytest

from flow_kernel.session.checkpoints.reach import judge
from flow_kernel.session.checkpoints.reach_facts import SaveFacts, facts_of, state_of_libraries
from flow_kernel.session.checkpoints.reach_look import CellLook, Known
from flow_kernel.session.checkpoints.saving import save
from tests.session.following import Session, set_up

FRAMES = "import numpy as np, pandas as pd\ndf = pd.DataFrame({'a': [1., 2.]}); X = np.ones(3)"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.mark.parametrize("cell", ["1 + 1", "print('x')", "# nothing", "", "[i for i in range(3)]"])
def test_a_cell_that_touches_no_variable_reaches_nothing(session: Session, cell: str) -> None:
    set_up(session, [FRAMES])
    assert session.run(cell).is_nothing
    assert session.tracker.to_save() == frozenset()


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("df.loc[0, 'a'] = 3", {"df"}),
        ("y = df['a'].sum()", {"df", "y"}),
        ("X += 1", {"X"}),
        ("z = np.sum(X)", {"X", "z"}),
        ("z = [x * 2 for x in X]", {"X", "x", "z"}),
        ("def f(v):\n    return v + X\n", {"f", "X"}),
        ("def f(v):\n    return v * 2\nf(X)", {"f", "X"}),
    ],
)
def test_a_cell_reaches_the_names_that_it_uses(
    session: Session, cell: str, names: set[str]
) -> None:
    set_up(session, [FRAMES])
    reach = session.run(cell)
    assert reach.everything is None
    assert reach.names >= names - {"x"}
    assert reach.names <= names


@pytest.mark.parametrize(
    "cell",
    [
        "exec('X[0] = 5')", "globals()['X'][0] = 5", "get_ipython().run_cell('X[0] = 5')",
        "%time X[0] = 5", "import sys", "from numpy import *", "a = A()", "_ + 1", "X.__class__",
        "pd.DataFrame.foo = 3", "raise ValueError", "import matplotlib.pyplot as plt",
    ],
)  # fmt: skip
def test_a_cell_that_may_do_anything_reaches_everything(session: Session, cell: str) -> None:
    set_up(session, [FRAMES, "class A: pass", "1"])
    assert session.run(cell).everything
    assert session.tracker.to_save() is None


def test_what_shares_with_a_name_is_saved_with_it(session: Session) -> None:
    set_up(session, ["a = [1]; b = [a]; c = 5; d = [2]"])
    session.run("b[0].append(2)")
    assert session.tracker.to_save() == {"a", "b"}


def test_a_value_of_an_unknown_kind_is_saved_with_everything_that_is(session: Session) -> None:
    set_up(
        session,
        ["import numpy as np\nb = bytearray(8); v = np.frombuffer(b, 'u1'); x = [1]; y = [2]"],
    )
    session.run("x.append(1)")
    assert session.tracker.to_save() == {"x", "v", "b"}


def test_cells_during_a_save_are_judged_by_what_was_known(session: Session) -> None:
    set_up(session, ["x = [1]; y = [2]; z = [3]"])
    session.run("x.append(1)")
    session.tracker.save_begins()
    session.run("y.append(1)")
    assert session.tracker.to_save() is None  # nobody knows yet what shares with it
    session.tracker.saved(facts(session))
    assert session.tracker.to_save() == {"y"}


def test_a_save_that_fails_leaves_what_was_to_be_saved(session: Session) -> None:
    set_up(session, ["x = [1]; y = [2]; z = [3]"])
    session.run("x.append(1)")
    session.tracker.save_begins()
    session.run("y.append(1)")
    session.tracker.save_failed()
    assert session.tracker.to_save() == {"x", "y"}


def test_after_a_cell_that_may_do_anything_all_is_saved_until_it_was(session: Session) -> None:
    set_up(session, ["x = [1]; y = [2]"])
    session.run("exec('x.append(1)')")
    session.tracker.save_begins()
    session.run("y.append(1)")
    session.tracker.saved(facts(session))
    session.run("y.append(2)")
    assert session.tracker.to_save() == {"y"}


def test_a_thread_counts_until_the_cell_in_which_it_ended(session: Session) -> None:
    set_up(session, ["import threading\nx = [1]; go = threading.Event()"])
    session.run("t = threading.Thread(target=lambda: go.wait(5)); t.start()")
    session.save(tells=True, looks_for_code=False)
    assert session.run("x.append(1)").everything == "another thread runs"
    session.run_quietly("go.set(); t.join(); del t")
    session.save(tells=True, looks_for_code=False)
    assert session.run("x.append(1)").everything == "another thread runs"  # it did when it began
    session.save(tells=True, looks_for_code=False)
    assert session.run("x.append(1)").names == {"x"}


def test_the_notebooks_finalizers_end_all_judgement(session: Session) -> None:
    set_up(session, ["class A:\n    def __del__(self): pass\nx = 1"])
    assert session.run("x + 1").everything == "a class of the notebook has __del__"


def test_no_code_of_the_user_runs_while_a_cell_is_judged(session: Session) -> None:
    trap = (
        "ran = []\nclass M(type):\n    def __getattribute__(c, n):\n        ran.append(n)\n"
        "        return super().__getattribute__(n)\n"
        "    def __eq__(c, o): ran.append('c ='); return NotImplemented\n"
        "    def __hash__(c): ran.append('c #'); return 1\nclass A(metaclass=M):\n"
        "    def __getattribute__(s, n):\n        ran.append(n)\n"
        "        return super().__getattribute__(n)\n"
        "    def __eq__(s, o): ran.append('eq'); return True\n"
        "    def __hash__(s): ran.append('hash'); return 1\n"
        "    def __len__(s): ran.append('len'); return 1\n"
        "    def __bool__(s): ran.append('bool'); return True\n"
        "    def __iter__(s): ran.append('iter'); return iter(())\n"
        "a = A(); b = [a, {'k': a}]; c = A; d = (A, a)"
    )
    set_up(session, [trap])
    ran = session.namespace["ran"]
    world = session.world()
    for cell in ("a", "b", "c", "d", "a = 1", "del b", "x = [a, c]", "def f(v=a): return c"):
        ran.clear()
        judge(CellLook(codes=(compile(cell, "", "exec"),)), world, Known(tame={"b"}, plain={"d"}))
        assert ran == []


def facts(session: Session) -> SaveFacts:
    values = session.variables()
    groups = [(name,) for name in values]
    types = session.tracker.types()
    return facts_of(
        values,
        groups,
        types,
        holding=save(values, session.anchors(), marks=state_of_libraries()).marked,
        namespace=session.namespace,
        looks_for_code=False,
    )
