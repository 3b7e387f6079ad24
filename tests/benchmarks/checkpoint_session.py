"""The session that every checkpoint tool is measured on, and what is done to it (pure).

Used by `checkpoint_measures.py` and `checkpoint_micro.py`, which send these cells to each tool.

48 variables: a frame that holds most of the bytes, a second one, strings, a matrix with its target
and a view of it, many small objects, two models, aliases and 35 small variables. What is made of
small objects has the same size in each session; frames and matrix take the rest. The shapes of the
micro-notebooks are those of Chipmink (arXiv 2511.14162): `nb_append`, `nb_update`, `nb_readon`.
"""

from dataclasses import dataclass
from typing import Final

SIZES_MB: Final = (60, 240, 1000)
_SMALL_MB: Final = 7.2
"""What strings, dicts, records and models take, pickled, at full scale."""
_VIEW: Final = 1.05
"""A pickle holds the view a second time."""
_FRAME, _SECOND, _MATRIX = 0.67, 0.13, 0.20
_COLUMNS: Final = 10

_IMPORTS: Final = "import numpy as np\nimport pandas as pd\n"
_FRAMES: Final = """\
rng = np.random.default_rng(7)
df = pd.DataFrame(rng.standard_normal(({frame_rows}, 10)), columns=[f"c{{i}}" for i in range(10)])
df2 = pd.DataFrame(rng.standard_normal(({second_rows}, 5)), columns=list("abcde"))
X = rng.standard_normal(({matrix_rows}, 20))
y = (X[:, 0] > 0).astype(np.int64)
view = X[:, :5]
"""
_OBJECTS: Final = """\
words = [f"word-{{i}}" for i in range(1000)]
cats = pd.DataFrame({{
    "city": [words[i % 1000] for i in range({strings})],
    "note": [f"note {{i % 20000}}" for i in range({strings})],
}})
del words
nested = {{f"k{{i}}": {{"a": i, "b": [i, i + 1], "c": str(i)}} for i in range({dicts})}}
records = [(i, f"name-{{i}}", i * 0.5, {{"ok": i % 2 == 0}}) for i in range({dicts})]
alias, alias2 = df, nested
"""
_MODELS: Final = """\
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
forest = RandomForestClassifier(n_estimators=10, max_depth=6, random_state=1, n_jobs=1)
_ = forest.fit(X[:2000], y[:2000])
logit = LogisticRegression(max_iter=50)
_ = logit.fit(X[:2000], y[:2000])
"""
_NO_MODELS: Final = "forest, logit = {{'trees': list(X[:10, 0])}}, {{'weights': X[0].copy()}}"
_LITTLE: Final = """\
globals().update({{f"arr{{i}}": np.arange(2000) + i for i in range(12)}})
globals().update({{f"list{{i}}": [i] * 50 for i in range(12)}})
globals().update({{f"num{{i}}": i for i in range(6)}})
threshold, label, pair = 0.5, "first", [list0, list1]
"""
FUNCTIONS: Final = """\
def inner(x): return x + 1
def count(n):
    for i in range(n):
        inner(i)
    return n
"""
VARIABLES: Final = 48
"""How many there are, modules and imported classes apart."""


def build_cells(size_mb: float, *, scale: float = 1.0, has_models: bool = True) -> list[str]:
    """The cells that make the session.

    Args:
        size_mb: Its size when it is pickled.
        scale: Of what is made of small objects; less than 1 only to see that all of it works.
        has_models: False where scikit-learn is missing: dicts stand for the models.
    """
    array_bytes = max(size_mb - _SMALL_MB * scale, 0.2) * 1e6 / _VIEW
    numbers = {
        "frame_rows": max(int(array_bytes * _FRAME / (8 * _COLUMNS)), 2000),
        "second_rows": max(int(array_bytes * _SECOND / (8 * 5)), 500),
        "matrix_rows": max(int(array_bytes * _MATRIX / (8 * 21)), 2500),
        "strings": int(200_000 * scale),
        "dicts": int(50_000 * scale),
    }
    models = _MODELS if has_models else _NO_MODELS
    made = [cell.format(**numbers) for cell in (_IMPORTS, _FRAMES, _OBJECTS, models, _LITTLE)]
    return [*made, FUNCTIONS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a user does.

    Attributes:
        name: For programs.
        title: For people.
        cell: The cell, with `{turn}`.
        most_ms: The most that the user may be blocked; None without a target.
        most_bytes: The most that may be stored; likewise.
        is_undone: Whether it is undone each time, which is measured as well.
    """

    name: str
    title: str
    cell: str
    most_ms: float | None = None
    most_bytes: float | None = None
    is_undone: bool = False


STEPS: Final = (
    Step(name="empty", title="empty cell", cell="1 + {turn}", most_ms=2),
    Step(name="read", title="read-only cell on the big frame", cell="df['c1'].mean()", most_ms=10),
    Step(
        name="edit",
        title="one value of the big frame, in place",
        cell="df.iloc[1234 + {turn}, 1] = 42.0 + {turn}",
        most_ms=20,
        most_bytes=1.1e6,
    ),
    Step(name="rebind", title="one list bound anew", cell="list3 = [{turn}] * 50"),
    Step(name="array", title="one small array bound anew", cell="arr3 = np.arange(2000) + {turn}"),
    Step(name="nested", title="one of 50,000 nested dicts", cell="nested['k5']['a'] = -{turn}"),
    Step(
        name="drop",
        title="a column dropped in place",
        cell="df.drop(columns=['c9'], inplace=True)",
        is_undone=True,
    ),
)
EDIT: Final = "df.iloc[({turn} * 7919) % len(df), {turn} % 10] = {turn}.5"
"""One of a hundred edits, each of another value."""
BURST: Final = 5
"""How many of them are sent one right after the other."""
CALLS: Final = (
    "import time as _time\n"
    "_before = _time.perf_counter(); _ = count(1_000_000)\n"
    "_took = _time.perf_counter() - _before"
)
"""A function of the user calls another one a million times; `_took` holds the seconds."""

_UPDATE_COLUMNS: Final = """\
import numpy as np, pandas as pd
_n = {rows}
_rng = np.random.default_rng(1)
df = pd.DataFrame({{
    "A": _rng.integers(1, 100, _n), "B": _rng.integers(1, 100, _n), "C": _rng.standard_normal(_n),
    "D": np.array(["foo", "bar", "baz", "qux"])[_rng.integers(0, 4, _n)],
    "E": pd.date_range("2022-01-01", periods=_n, freq="min"),
}})
"""
_UPDATES: Final = (
    "df['F'] = df['A'] + df['B']",
    "df.loc[df['A'] < 50, 'A'] = 0",
    "df['C'] = df['C'].where(df['C'] <= 0, df['C'] ** 2)",
    "df.rename(columns={'A': 'A_mod', 'B': 'B_mod'}, inplace=True)",
    "df.drop('D', axis=1, inplace=True)",
    "df = df.reindex(index=df.index[::-1])",
    "df.loc[0:100, 'C'] = np.nan; df.fillna({'C': 0}, inplace=True)",
    "df['G'] = df.groupby('B_mod')['C'].transform('mean')",
    "df.sort_values('E', inplace=True)",
    "df = df.merge(df[['E']].iloc[:10].assign(H=1.0), on='E', how='left')",
)
_READS: Final = (
    "df.head()",
    "df.tail()",
    "df.describe()",
    "df['A'].sum()",
    "len(df[['A', 'B']])",
    "len(df[df['A'] > 2])",
    "df.isna().sum()",
    "df.count()",
    "df['B'].nunique()",
    "df['B'].value_counts()",
    "len(df.sort_values('A', ascending=False))",
    "len(df.sort_index())",
    "len(df.reset_index(drop=True))",
    "len(df.rename(columns={'A': 'Alpha'}))",
    "df.iloc[1:3]",
    "df.loc[1:3]",
    "df.memory_usage()",
)


def micro_notebooks(rows: int) -> dict[str, list[str]]:
    """Small notebooks that only append, only update, or only read; the first cell makes the data.

    Args:
        rows: Of the frame; an array that is appended has an eighth of it (1 MB of a million).
    """
    made = _UPDATE_COLUMNS.format(rows=rows)
    arrays = [f"array_{i} = np.random.default_rng({i}).random({rows // 8})" for i in range(1, 13)]
    return {
        "append": ["import numpy as np", *arrays],
        "update": [made, *_UPDATES],
        "readon": [made, *_READS],
    }
