"""A cell that only looks reaches nothing.

Other tests leave code of theirs in libraries, which counts as clean here: `looks_for_code`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.session.following import Session, set_up

pytestmark = pytest.mark.filterwarnings("ignore")

SETUP = """
import math, random, re, time
import numpy as np, pandas as pd
from collections import Counter
from datetime import datetime
from random import shuffle as mean
rng = np.random.default_rng(0)
df = pd.DataFrame({'a': [1., 2., 3.], 'b': [4., 5., 6.], 'c': ['x', 'y', 'z']})
X = np.arange(12.).reshape(3, 4); out = np.zeros(4)
rows = [3, 1, 2]; prices = {'x': 1.5}; text = 'a b'; things = {1, 2}; count = Counter('aab')
"""
LOOKS = [
    "df.head()", "df['a'].mean()", "df.describe()", "df[df['a'] > 1]", "len(df), df.shape",
    "df.groupby('c')['a'].sum()", "df.sort_values('a', ascending=False).head(2)", "df.a.dtype",
    "df.loc[0, 'a']", "df.iloc[0]", "df.at[0, 'a']", "df.isna().sum().to_dict()", "df.T",
    "print(f'{len(df):,} rows, {df[\"a\"].mean():.2f}')", "df.c.str.upper().tolist()",
    "X.mean(axis=0)", "np.sum(X, axis=0)", "X @ X.T", "np.exp(X)", "X[X > 2].std()",
    "X.max(axis=1)", "sorted(rows)", "sorted(prices.items(), key=lambda pair: pair[1])",
    "max(rows), min(rows)", "[row * 2 for row in rows if row > 1]",
    "{k: v for k, v in prices.items()}", "rows[0]", "prices.get('y', 0)", "'x' in prices",
    "text.split()", "count.most_common(1)", "rows == [1]", "things | {3}", "list(zip(rows, rows))",
    "any(row > 2 for row in rows)", "str(rows)", "rows", "re.findall('a', text)",
    "math.sqrt(rows[0])", "datetime.now()", "rows + rows", "-X", "not rows",
    "rows if len(rows) > 1 else text", "print(rows, text)", "isinstance(rows, list)",
    "df.fillna(0)", "df.drop(columns=['a'])", "df.rename(columns={'a': 'A'})", "df.assign(d=1)",
]  # fmt: skip
MORE = [
    "rows.sort()", "rows.append(4)", "prices.update(y=1)", "prices.setdefault('y', 1)",
    "things.add(9)", "count.subtract('a')", "np.sum(X, axis=0, out=out)", "X.sum(0, None, out)",
    "np.add(rows, 1, X[0, :3])", "np.multiply.at(X, 0, 2)", "np.negative.at(X, 0)", "X.sort()",
    "np.exp(out, out)", "df.drop(columns=['a'], inplace=True)", "df.pop('a')", "X.fill(1)",
    "np.median(X, overwrite_input=True)", "rng.random()", "mean(rows)", "random.shuffle(rows)",
    "[rows.append(i) for i in [1]]", "list(map(rows.append, [1]))", "(lambda r: r.clear())(rows)",
    "print(rows.pop())", "X[0] += 1", "df['d'] = 1", "del rows[0]", "rows[0] = 5", "y = df['a']",
    "X.resize((2, 6), refcheck=False)", "np.random.rand()", "df.agg('mean')",
    "next(iter(rows)).real", "np.copyto(out, X[0])", "X.shape = (4, 3)", "df.a.where",
    "(y := rows)", "[(y := row) for row in rows]", "df.apply(print)", "df.to_csv('x.csv')",
    "np.round(out, 1, out)", "X.clip(0, 1, X)", "getattr(rows, 'clear')()", "df['a'].map({1.0: 2})",
]  # fmt: skip
HARMLESS_ALL_THE_SAME = {"next(iter(rows)).real"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """In a folder of its own: some cells write files."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("looks"))
    session = Session()
    session.run_quietly("import numpy, pandas")
    yield session
    session.close()
    os.chdir(before)


@pytest.mark.parametrize("cell", LOOKS)
def test_a_cell_that_only_looks_reaches_nothing(session: Session, cell: str) -> None:
    before = set_up(session, [SETUP])
    assert session.run(cell).is_nothing
    assert not session.has_failed
    assert session.missed(before, session.save()) == set()
    assert session.tracker.to_save() == frozenset()


@pytest.mark.parametrize("cell", MORE)
def test_a_cell_that_does_more_than_look_is_saved(session: Session, cell: str) -> None:
    before = set_up(session, [SETUP])
    is_nothing = session.run(cell).is_nothing
    assert session.missed(before, session.save()) == set()
    assert is_nothing == (cell in HARMLESS_ALL_THE_SAME)


def test_a_look_after_a_change_takes_nothing_from_it(session: Session) -> None:
    set_up(session, [SETUP])
    session.run("rows.append(4)")
    session.run("len(rows)")
    assert session.tracker.to_save() == {"rows"}


def test_a_look_that_puts_blocks_together_is_none(session: Session) -> None:
    before = set_up(session, [SETUP, "df['d'] = 1.; df['e'] = 2."])
    session.run("df.describe()")
    assert session.missed(before, session.save()) == set()
    session.save(tells=True, looks_for_code=False)
    session.run("df.quantile(0.5, numeric_only=True)")
    blocks = len(session.namespace["df"]._mgr.blocks)
    session.save(tells=True, looks_for_code=False)
    is_nothing = session.run("df.describe()").is_nothing
    assert is_nothing or len(session.namespace["df"]._mgr.blocks) < blocks


def test_labels_of_several_levels_are_laid_out_anew_by_a_look(session: Session) -> None:
    before = set_up(session, [SETUP, "df = df.set_index(['b', 'c'])"])
    session.run("df.truncate()")
    assert session.missed(before, session.save()) == set()
    session.save(tells=True, looks_for_code=False)
    assert not session.run("df.head()").is_nothing


CALLS_WHAT_IT_IS_GIVEN = [
    # What a cell made, and another that calls it: no word of the second says what is called.
    ["p = functools.partial(list.sort)", "p(rows)"],
    ["drop = functools.partial(pd.DataFrame.drop, columns=['a'], inplace=True)", "drop(df)"],
    ["key = list.sort", "key(rows)"],
    ["ops = [list.sort]", "ops[0](rows)"],
    ["ops = {'mix': np.random.shuffle}", "ops['mix'](X)"],
    ["ops = {'k': list.sort}", "[v(rows) for v in ops.values()]"],
    ["mix = [np.random.default_rng(3).shuffle]", "mix[0](rows)"],
    ["log = [np.log]", "log[0](X, Y)"],
    ["up = functools.partial(dict.update, a=1)", "up(prices)"],
    ["acts = pd.Series([list.sort, list.pop])", "acts[0](rows)"],
    ["df.mean = list.sort", "df.mean(rows)"],
    ["v = objs[:2]; del objs", "v.base[2] + 1"],
    # pandas and numpy write to what they are given.
    ["ts - part"],
    ["print((ts - ts[::2]).sum())"],
    ["ts.index.join(part.index, how='outer')"],
    ["ts.align(part)"],
    ["copy.deepcopy(rows, prices)"],
    ["copy.deepcopy(rows, memo=prices)"],
    ["display(rows, transient=prices, display_id='a')"],
    ["list(itertools.starmap(np.maximum, [(X, 5, Y)]))"],
    ["list(itertools.starmap(np.multiply.at, [(X, 0, 2)]))"],
    ["len(list(itertools.accumulate(X, func=np.exp)))"],
    ["list(map(np.exp, X, Y))"],
    ["list(map(exp, X, Y))"],
    ["isalpha(np.array(['a', 'b', 'c']), flags)"],
]


@pytest.mark.parametrize("cells", CALLS_WHAT_IT_IS_GIVEN, ids=lambda cells: cells[-1])
def test_no_change_is_missed_where_a_cell_seems_to_look(session: Session, cells: list[str]) -> None:
    more = (
        "import copy, functools, itertools\n"
        "from numpy import exp\nfrom numpy.strings import isalpha\n"
        "Y = X + 1; flags = np.zeros(3, bool)\n"
        "ts = pd.Series(range(9), pd.date_range('2026', periods=9)) + 0.5\n"
        "part = ts.iloc[[0, 1, 3]]"
    )
    own = (
        "class Own:\n    def __add__(self, other): rows.append(other)\n"
        "objs = np.array([1, 2, Own()], dtype=object)"
    )
    before = set_up(session, [SETUP, more, *([own] if "objs" in cells[0] else [])])
    for cell in cells:
        session.run(cell)
    assert session.missed(before, session.save()) == set()


def test_a_value_that_is_being_saved_is_looked_at_before_a_cell_is_believed(
    session: Session,
) -> None:
    """Between a save and what it finds out, nothing is known of what was touched before it."""
    set_up(session, [SETUP, "import collections; df['d'] = 1.; df['e'] = 2."])
    session.run("box = {'frame': df, 'meta': {'counts': collections.defaultdict(int)}}")
    session.save(tells=True, looks_for_code=False)
    session.run("box['frame'] = df")
    session.tracker.save_begins()
    assert not session.run("box['meta']['counts']['k']").is_nothing


def test_a_library_s_own_state_in_a_value_of_an_unknown_class_is_saved_again(
    session: Session,
) -> None:
    held = "class A: pass\na = A(); a.cache = re._cache"
    before = set_up(session, [SETUP, held])
    session.run("re.findall('a+?b', text)")
    assert session.missed(before, session.save()) == set()
