"""A recipe names the cells that would make a variable again, and runs none of them."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.rebuilding import explain_all, recipes_for
from flow_kernel.session.checkpoints.recipe import Recipe, recipes
from flow_kernel.session.checkpoints.tombstone import Tombstone
from tests.apps.sample_log import SampleLog
from tests.session.made_checkpoints import made

ALL = 10**6


class Log:
    """The records of a session that never ran."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self._cells = 0

    def put(self, kind: str, **fields: Any) -> int:
        seq = len(self.records) + 1
        self.records.append({"kind": kind, "seq": seq, **fields})
        return seq

    def cell(self, code: str, *, loads: str = "", **fields: Any) -> int:
        """A cell; `stores`, `added`, `changed`, `mutated`, `removed` are names with blanks."""
        self._cells += 1
        span = f"{self._cells}"
        self.put("cell_started", span_id=span)
        is_ok = fields.pop("is_ok", True)
        names = {
            {"stores": "stores"}.get(key, f"{key}_vars"): value.split()
            for key, value in fields.items()
        }
        return self.put(
            "cell",
            span_id=span,
            code=code,
            execution_count=self._cells,
            success=is_ok,
            loads=loads.split(),
            **names,
        )

    def of(self, *names: str, held: str = "", seq: int = ALL) -> list[Recipe]:
        return recipes(self.records, names, held=set(held.split()), seq=seq)

    def numbers(self, name: str, held: str = "", seq: int = ALL) -> str:
        [found] = self.of(name, held=held, seq=seq)
        return found.numbers if found.cells else found.reason


def test_it_stops_at_what_the_checkpoint_holds() -> None:
    log = Log()
    log.cell("data = [1, 2]", added="data", stores="data")
    log.cell("g = iter(data)", loads="iter data", added="g", stores="g")
    log.cell("n = 1", added="n", stores="n")

    assert log.numbers("g", held="data n") == "cell [2]"
    assert log.numbers("g", held="n") == "cells [1], [2]"


def test_cells_that_changed_a_variable_are_part_of_it_back_to_the_one_that_made_it() -> None:
    log = Log()
    log.cell("x = 0", added="x", stores="x")
    log.cell("x = open('f')", changed="x", stores="x")
    log.cell("x.seek(3)", loads="x", mutated="x")
    log.cell("x = wrap(x)", loads="wrap x", changed="x", stores="x")

    assert log.numbers("x", held="wrap") == "cells [2], [3], [4]"


def test_a_cell_that_made_and_used_a_variable_needs_none_before_it() -> None:
    log = Log()
    log.cell("t = 1", added="t", stores="t")
    log.cell("del t", stores="t", removed="t")
    log.cell("t = 2; g = iter([t])", loads="iter t", added="g t", stores="g t")

    assert log.numbers("g") == "cell [3]"


def test_failed_cells_are_left_out_and_said() -> None:
    log = Log()
    log.cell("g = 1", added="g", stores="g")
    log.cell("g = 2; 1/0", changed="g", stores="g", is_ok=False)
    log.cell("h = 1; 1/0", added="h", stores="h", is_ok=False)

    assert log.numbers("g") == "cell [1]"
    assert log.numbers("h") == "the cell that made it failed: [3]"
    assert log.numbers("nobody") == "no recorded cell made it"


def test_cells_after_the_checkpoint_are_no_part_and_the_one_that_took_it_is() -> None:
    log = Log()
    log.cell("g = 1", added="g", stores="g")
    seq = log.put("checkpoint", checkpoint_id="c", after_seq=2)
    log.cell("g = 2", changed="g", stores="g")

    assert log.numbers("g", seq=seq) == "cell [1]"
    begun = log.put("cell_started", span_id="own")
    log.put("checkpoint", checkpoint_id="d", after_seq=begun)
    log.put("cell", span_id="own", code="h = 1", execution_count=9, success=True, loads=[],
            stores=["h"], added_vars=["h"])  # fmt: skip
    assert log.numbers("h", seq=begun) == "cell [9]"


def test_what_a_way_back_has_undone_is_no_part() -> None:
    log = Log()
    after = log.cell("g = first()", added="g", stores="g")
    log.put("checkpoint", checkpoint_id="c", after_seq=after)
    log.cell("g = second()", changed="g", stores="g")
    log.put("cell_started", span_id="back")
    log.put("rollback", checkpoint_id="c", what="all")
    log.put("cell", span_id="back", code="%rollback c", success=True, changed_vars=["g"], loads=[])
    log.cell("n = 1", added="n", stores="n")

    assert log.numbers("g", held="first n") == "cell [1]"
    log.put("rollback", checkpoint_id="of another session", what="state")
    assert log.numbers("g") == "no recorded cell made it"


def test_files_that_went_back_undo_no_cell() -> None:
    log = Log()
    log.put("checkpoint", checkpoint_id="c", after_seq=0)
    log.cell("g = 1", added="g", stores="g")
    log.put("rollback", checkpoint_id="c", what="files")

    assert log.numbers("g") == "cell [1]"


def test_it_says_what_changed_since_and_who_used_the_variable() -> None:
    log = Log()
    log.cell("data = [1]", added="data", stores="data")
    log.cell("g = iter(data)", loads="iter data", added="g", stores="g")
    log.cell("data.append(2)", loads="data", mutated="data")
    log.cell("next(g)", loads="next g")

    [found] = log.of("g", held="data")

    assert found.changed_since == ("data",)
    assert [cell.label for cell in found.used_by] == ["[4]"]
    assert found.document()["cells"] == [
        {"seq": 4, "execution_count": 2, "code": "g = iter(data)", "risks": []}
    ]


def test_side_effects_of_the_cells_are_said_and_tombstones_learn_the_recipe(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    log = SampleLog(home.root)
    log.cell("import os\nos.remove('x'); g = iter([])", loads=["os"], stores=["g", "os"],
             added_vars=["g", "os"])  # fmt: skip
    checkpoint = made("c", values={"os": "1"}, not_saved=("g",), number=50)
    namespace = {"g": Tombstone("g", "a generator"), "h": 1}

    [found] = recipes_for(home, checkpoint, ["g"])
    explain_all(namespace, [found])

    assert found.cells[0].risks == ("deletes files or tables",)
    assert repr(namespace["g"]) == (
        "<g was not restored: a generator; to make it again, run cell [1]>"
    )


NAMES = "abcde"
CELLS = st.tuples(
    st.sampled_from(["set", "mutate", "delete", "fail"]),
    st.sets(st.sampled_from(NAMES), min_size=1, max_size=2),
    st.sets(st.sampled_from(NAMES), max_size=2),
)
Values = dict[str, object]


def execute(number: int, how: str, targets: set[str], sources: set[str], values: Values) -> None:
    """What a cell does: a value is where it comes from."""
    read = tuple((name, values[name]) for name in sorted(sources))
    for name in sorted(targets):
        if how == "delete":
            values.pop(name, None)
        else:
            values[name] = (number, read, values[name] if how == "mutate" else None)


@settings(deadline=None, max_examples=400)
@given(st.lists(CELLS, max_size=25), st.sets(st.sampled_from(NAMES)))
def test_running_the_cells_of_a_recipe_gives_the_value_that_was_lost(
    cells: list[tuple[str, set[str], set[str]]], lost: set[str]
) -> None:
    log, values = Log(), Values()
    ran: dict[int, tuple[str, set[str], set[str]]] = {}
    for number, (how, names, wanted) in enumerate(cells, 1):
        bound = set(values)
        targets = names & bound if how in ("mutate", "delete") else names
        sources = wanted & bound
        loads = sources | targets if how == "mutate" else sources
        ran[number] = (how, targets, sources)
        if how != "fail":
            execute(number, how, targets, sources, values)
        log.cell(
            f"{number}",
            loads=" ".join(loads),
            is_ok=how != "fail",
            stores=" ".join(targets if how in ("set", "delete") else ()),
            added=" ".join(targets - bound if how == "set" else ()),
            changed=" ".join(targets & bound if how == "set" else ()),
            mutated=" ".join(targets if how == "mutate" else ()),
            removed=" ".join(targets if how == "delete" else ()),
        )
    lost &= set(values)
    held = values.keys() - lost

    for recipe in log.of(*sorted(lost), held=" ".join(held)):
        again = {name: values[name] for name in held}
        assert recipe.cells
        if recipe.changed_since or recipe.also_sets:
            continue  # it says itself that the result may differ
        for cell in recipe.cells:
            execute(int(cell.code), *ran[int(cell.code)], again)
        assert again[recipe.name] == values[recipe.name]
