"""Columns of Arrow: text is known like that of Python, what may lie in other memory is not."""

from collections.abc import Iterator

import pytest

from tests.session.following import Session, set_up

pytestmark = pytest.mark.filterwarnings("ignore")

TEXT = """
import numpy as np, pandas as pd
df = pd.DataFrame({'a': [1., 2., 3.], 'c': ['x', 'y', 'z']})
df['c'] = df['c'].astype(pd.StringDtype(%r, na_value=np.nan)); rows = [1]
"""
NAMED_LIKE_TEXT = """
import numpy as np, pandas as pd, pyarrow as pa
asked = []
class Sly(pa.ExtensionType):
    def __init__(self): super().__init__(pa.string(), 'sly')
    def __arrow_ext_serialize__(self): return b''
    @classmethod
    def __arrow_ext_deserialize__(cls, storage, text): return cls()
    def __str__(self): asked.append(1); return 'string'
column = pa.chunked_array([pa.ExtensionArray.from_storage(Sly(), pa.array(['x']))])
asked.clear()
"""
NUMBERS = """
import numpy as np, pandas as pd, pyarrow as pa
below = np.arange(3); column = pa.chunked_array([pa.array(below)])
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    session.run_quietly("import numpy, pandas")
    yield session
    session.close()


@pytest.fixture(params=["python", "pyarrow"])
def text(request: pytest.FixtureRequest) -> str:
    """A frame with text, by where pandas keeps it."""
    if request.param == "pyarrow":
        pytest.importorskip("pyarrow")
    return TEXT % request.param


@pytest.mark.parametrize(
    "cell",
    ["df.head()", "df.c.str.upper().tolist()", "df.loc[0, 'c']", "df.sort_values('c').head(2)"],
)
def test_a_look_at_text_reaches_nothing(session: Session, text: str, cell: str) -> None:
    before = set_up(session, [text])
    assert session.run(cell).is_nothing
    assert session.missed(before, session.save()) == set()


@pytest.mark.parametrize(
    "cell",
    [
        "df.loc[0, 'c'] = 'q'",
        "df['c'].array[0] = 'q'",
        "df.c.values[1:] = None",
        "df['c'] += '!'",
    ],
)
def test_a_change_of_text_reaches_its_frame_alone(session: Session, text: str, cell: str) -> None:
    before = set_up(session, [text])
    reach = session.run(cell)
    assert (reach.everything, reach.names) == (None, {"df"})
    assert session.missed(before, session.save()) == set()


@pytest.mark.parametrize("setup", [NUMBERS, NAMED_LIKE_TEXT], ids=["numbers", "named like text"])
def test_any_other_column_of_arrow_is_not_known(session: Session, setup: str) -> None:
    pytest.importorskip("pyarrow")
    set_up(session, [setup])
    reach = session.run("column.length()")
    assert reach.everything == "uses column, of which not all is known"
    assert session.namespace.get("asked", []) == []
