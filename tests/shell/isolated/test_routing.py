"""Marks of cells as people write them, and the order that they make."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flow_kernel.errors import UsageError
from flow_kernel.shell.isolated.routing import (
    OPTIONS,
    Marks,
    Order,
    complete,
    of_comment,
    of_magic,
    of_metadata,
    of_tags,
    resolve,
)
from flow_kernel.workers.limits import Limits, Requirements
from tests.records.journals import many

NOTHING = Marks()
NO_REFUSAL = "read"
NAMES = [option.name for option in OPTIONS]
KNOWN = "known are --worker NAME, --fresh, --in auto|none|A,B, --out X,Y, --timeout 30, " \
        "--memory 2G, --cpu 60, --processes N, --output 50M, --fork, --shell, --bg, " \
        "--priority N, --idempotent, --no"  # fmt: skip
KNOWN_WORDS = "known are isolated, local, worker=NAME, fresh, in=auto|none|A,B, out=X,Y, " \
              "timeout=30, memory=2G, cpu=60, processes=N, output=50M, fork, shell, bg, " \
              "priority=N, idempotent"  # fmt: skip
LIMIT_KEYS = ("timeout_s", "memory_bytes", "cpu_s", "processes", "output_bytes")

any_text = st.text(st.characters(codec=None), max_size=60)
near_text = st.lists(
    st.sampled_from([*NAMES, "=", " ", "2G", "a,b", "w1", "auto", "'", "\\", "isolated", "memory="])
    | any_text
).map("".join)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
flow_keys = st.sampled_from([name[2:] for name in NAMES] + ["isolated", "record", "approve"])
near_metadata = st.fixed_dictionaries(
    {"flow": st.dictionaries(flow_keys, any_json) | any_json, "tags": any_json}
)

flags = st.none() | st.booleans()
amounts = st.none() | st.integers(1, 3)
marks = st.builds(
    Marks,
    isolated=flags,
    worker=st.sampled_from([None, None, "w1", "w2"]),
    fresh=flags,
    inputs=st.sampled_from([None, "auto", "none", ("a",), ("b", "c")]),
    outputs=st.sampled_from([None, (), ("x",)]),
    timeout_s=amounts,
    memory_bytes=amounts,
    cpu_s=amounts,
    processes=amounts,
    output_bytes=amounts,
    fork=flags,
    background=flags,
    priority=st.sampled_from([None, -1, 5]),
).filter(lambda said: sum(map(bool, (said.worker, said.fresh, said.fork))) < 2)
written_names = st.lists(st.sampled_from(["a", "b1", "_", "größe"]), min_size=1, unique=True)
written = st.fixed_dictionaries(
    {},
    optional={
        "in": st.sampled_from(["auto", "none"]) | written_names.map(",".join),
        "out": written_names.map(",".join),
        "timeout": st.sampled_from(["30", "0.5", "10m"]),
        "memory": st.sampled_from(["2G", "1.5GiB", "64000000"]),
        "cpu": st.sampled_from(["60", "1h"]),
        "processes": st.just("32"),
        "output": st.just("50M"),
        "worker": st.sampled_from(["w1", "a.b_c-D", "7"]),
    },
)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", Marks(isolated=True)),
        ("--no", Marks(isolated=False)),
        ("--worker w1", Marks(isolated=True, worker="w1")),
        ("--fresh", Marks(isolated=True, fresh=True)),
        ("--fork --out x", Marks(isolated=True, fork=True, outputs=("x",))),
        ("--shell --bg", Marks(isolated=True, shell=True, background=True)),
        ("--bg --priority -3", Marks(isolated=True, background=True, priority=-3)),
        ("--in auto", Marks(isolated=True, inputs="auto")),
        ("--in=none", Marks(isolated=True, inputs="none")),
        ("--in 'a, b,a' --out=x", Marks(isolated=True, inputs=("a", "b"), outputs=("x",))),
        ("--out cafe\u0301", Marks(isolated=True, outputs=("caf\xe9",))),
        ("--timeout 30 --cpu=1h", Marks(isolated=True, timeout_s=30.0, cpu_s=3600.0)),
        (
            '--memory "2 GB" --processes 4 --output 50M',
            Marks(isolated=True, memory_bytes=2 * 10**9, processes=4, output_bytes=50_000_000),
        ),
    ],
)
def test_the_line_of_the_magic_is_read(line: str, said: Marks) -> None:
    assert of_magic(line) == said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--memroy 2G", f'"--memroy" is no option; did you mean --memory? {KNOWN}'),
        ("memory=2G", f'"memory" is no option; did you mean --memory? {KNOWN}'),
        ("w1", f'"w1" is no option; {KNOWN}'),
        ("--", f'"--" is no option; {KNOWN}'),
        ("--memory", f"--memory takes a value, e.g. --memory 2G; {KNOWN}"),
        ("--worker --fresh", f"--worker takes a value, e.g. --worker NAME; {KNOWN}"),
        ("--timeout=", f"--timeout takes a value, e.g. --timeout 30; {KNOWN}"),
        ("--fresh=yes", f"--fresh takes no value; {KNOWN}"),
        ("--cpu 1 --cpu=2", f"--cpu is given twice; {KNOWN}"),
        ("--in 'a", f'a quote or a backslash in "--in \'a" has no end; {KNOWN}'),
        ("--worker a --fresh",
         "--worker and --fresh exclude one another; a fresh worker has no name"),
        ("--fork --shell",
         "--fork and --shell exclude one another; a script of bash sees no variables"),
        ("--bg --fork",
         "--fork and --bg exclude one another; a copy of the session lives as long as its cell "
         "runs"),
        ("--priority high", '--priority: "high" is no number from -100 to 100; try 10'),
        ("--priority 101", '--priority: "101" is no number from -100 to 100; try 10'),
        ("--worker a/b", '--worker: "a/b" is no name of a worker; at most 40 letters, digits, '
                         "dots, dashes and underscores, e.g. w1"),
        ("--in a,2b", '--in: "2b" is no name of a variable; e.g. a,b'),
        ("--out a,", '--out: "" is no name of a variable; e.g. a,b'),
        ("--out Out", '--out: "Out" belongs to the shell; it stays where it is'),
        ("--in __name__", '--in: "__name__" belongs to the shell; it stays where it is'),
        ("--out class", '--out: "class" is no name of a variable; e.g. a,b'),
        ("--memory 1M", '--memory: "1M" is less than 64.0 MB; try 2G, 512M or 1.5GiB'),
        ("--timeout -5", '--timeout: "-5" is no duration; try 30, 90s, 10m or 1h'),
    ],
)  # fmt: skip
def test_what_is_not_understood_on_the_line_is_refused(line: str, message: str) -> None:
    assert refusal(of_magic, line) == message


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        ({}, NOTHING),
        ({"record": False, "approve": "always", "colour": [1]}, NOTHING),
        ({"isolated": True, "memory": "2G"}, Marks(isolated=True, memory_bytes=2 * 10**9)),
        ({"isolated": False, "fresh": False}, Marks(isolated=False, fresh=False)),
        ({"memory": 1e9, "timeout": 30}, Marks(memory_bytes=10**9, timeout_s=30.0)),
        ({"cpu": 0.5, "processes": 3, "output": 7},
         Marks(cpu_s=0.5, processes=3, output_bytes=7)),
        ({"in": "a,b", "out": ["x", " y "]}, Marks(inputs=("a", "b"), outputs=("x", "y"))),
        ({"in": ["auto"], "out": []}, Marks(inputs=("auto",), outputs=())),
        ({"in": []}, Marks(inputs="none")),
        ({"worker": "w1", "fresh": False, "in": None}, Marks(worker="w1", fresh=False)),
        ({"requirements": {"cpu": 2, "memory": "2G", "disk": "1.5GiB"}},
         Marks(needs=Requirements(cores=2.0, memory_bytes=2 * 10**9, disk_bytes=3 * 2**29))),
        ({"requirements": {}}, Marks(needs=Requirements())),
        (None, NOTHING),
        ("isolated", NOTHING),
    ],
)  # fmt: skip
def test_the_metadata_of_a_cell_is_read(flow: object, said: Marks) -> None:
    assert of_metadata({"flow": flow, "tags": []}) == said


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("isolated", "yes", '"yes" is neither true nor false'),
        ("isolated", 1, "1 is neither true nor false"),
        ("fresh", [], "a list is neither true nor false"),
        ("worker", 7, "7 is no name of a worker"),
        ("worker", "x" * 41, f'"{"x" * 39}…" is no name of a worker'),
        ("in", True, "true is no list of names"),
        ("in", [1], "1 is no name of a variable"),
        ("out", "", '"" is no name of a variable'),
        ("memory", True, "true is no number of bytes"),
        ("timeout", 0, "0 leaves no time to run"),
        ("cpu", float("nan"), "nan is no duration"),
        ("processes", 1.5, "1.5 is no number of processes"),
        ("output", "lots", '"lots" is no number of bytes'),
        ("requirements", 2, "2 is no object"),
        ("requirements", {"gpu": 1}, '"gpu" is no requirement'),
        ("requirements", {"cpu": 0}, "cpu: 0 is no number of processors"),
        ("requirements", {"cpu": "60s"}, 'cpu: "60s" is no number of processors'),
        ("requirements", {"disk": []}, "disk: a list is no number of bytes"),
    ],
)
def test_an_ill_formed_value_is_refused_by_its_key(key: str, value: object, what: str) -> None:
    said = refusal(of_metadata, {"flow": {key: value}})

    assert said is not None
    assert said.partition(";")[0] == f'metadata "flow.{key}": {what}'


@pytest.mark.parametrize(
    ("metadata", "isolated"),
    [
        ({"tags": ["isolated"]}, True),
        ({"tags": ["slow", "isolated"], "flow": {"isolated": False}}, True),
        ({"tags": ["Isolated", "isolated "]}, None),
        ({"tags": [{"isolated": 1}, None]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_tag_marks_a_cell(metadata: object, isolated: bool | None) -> None:
    assert of_tags(metadata) == Marks(isolated=isolated)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "# flow: isolated memory=2G timeout=30 worker=w1 in=a,b out=c\nx = 1",
            Marks(isolated=True, memory_bytes=2 * 10**9, timeout_s=30.0, worker="w1",
                  inputs=("a", "b"), outputs=("c",)),
        ),
        ("\n \n  #flow:isolated", Marks(isolated=True)),
        ("# flow: local\r\nx", Marks(isolated=False)),
        ("#\tflow: fresh cpu=60 processes=2 output=1k",
         Marks(fresh=True, cpu_s=60.0, processes=2, output_bytes=1000)),
        ("# flow:\nx = 1", NOTHING),
        ("# Flow: the data comes in here", NOTHING),
        ("# workflow: isolated", NOTHING),
        ("x = 1\n# flow: isolated", NOTHING),
        ("%%time\n# flow: isolated", NOTHING),
        ("", NOTHING),
    ],
)  # fmt: skip
def test_a_comment_in_the_first_line_with_text_marks_a_cell(source: str, said: Marks) -> None:
    assert of_comment(source) == said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("isolatd", f'"isolatd" is no word of "# flow:"; did you mean isolated? {KNOWN_WORDS}'),
        ("the data", f'"the" is no word of "# flow:"; {KNOWN_WORDS}'),
        ("no", f'"no" is no word of "# flow:"; {KNOWN_WORDS}'),
        ("memory", f"memory takes a value, e.g. memory=2G; {KNOWN_WORDS}"),
        ("isolated=true", f"isolated takes no value; {KNOWN_WORDS}"),
        ("cpu=1 cpu=1", f"cpu is given twice; {KNOWN_WORDS}"),
        ("isolated local", '"# flow:" says isolated and local; say one of them'),
        ("cpu=x", '"# flow:" cpu: "x" is no duration; try 30, 90s, 10m or 1h'),
    ],
)
def test_what_is_not_understood_in_the_comment_is_refused(text: str, message: str) -> None:
    assert refusal(of_comment, f"# flow: {text}\nx = 1") == message


@many
@given(written)
def test_magic_metadata_and_comment_say_the_same_alike(said: dict[str, str]) -> None:
    expected = of_metadata({"flow": {**said, "isolated": True}})

    comment = " ".join(f"{key}={value}" for key, value in said.items())
    assert of_comment(f"# flow: isolated {comment}") == expected
    assert of_magic(" ".join(f"--{key} {value}" for key, value in said.items())) == expected
    assert of_magic(" ".join(f"--{key}={value}" for key, value in said.items())) == expected


@many
@given(any_text | near_text)
@example("--in \0")
@example("\ud800=\u2028")
def test_text_is_read_or_refused_in_one_line(text: str) -> None:
    for read in (of_magic, of_comment, lambda text: of_comment(f"# flow:{text}")):
        assert len((refusal(read, text) or NO_REFUSAL).splitlines()) == 1
    assert set(complete(text)) <= set(NAMES)


@many
@given(any_json | near_metadata)
def test_metadata_is_read_or_refused_in_one_line(metadata: object) -> None:
    assert of_tags(metadata) in (NOTHING, Marks(isolated=True))
    assert len((refusal(of_metadata, metadata) or NO_REFUSAL).splitlines()) == 1


def test_the_order_has_each_key_from_the_highest_place_that_says_it() -> None:
    order = resolve(
        Marks(isolated=True, timeout_s=10.0),
        Marks(memory_bytes=2 * 10**9, timeout_s=99.0, inputs=("a",)),
        Marks(isolated=True),
        Marks(isolated=False, worker="w1", inputs="none", outputs=("x",), output_bytes=7),
        by_type=False,
        isolate_all=False,
    )

    assert order == Order(
        worker="w1",
        is_fresh=False,
        inputs=("a",),
        outputs=("x",),
        limits=Limits(timeout_s=10.0, memory_bytes=2 * 10**9, output_bytes=7),
    )


@pytest.mark.parametrize(
    ("places", "placement"),
    [
        ([{"fresh": True}, {"worker": "w1"}], (None, True)),
        ([{"worker": "w1"}, {"fresh": True}], ("w1", False)),
        ([{"fresh": False}, {"worker": "w1"}], ("w1", False)),
        ([{"fresh": False}, {"fresh": True}], (None, False)),
        ([{"worker": "w1"}, {"worker": "w2"}], ("w1", False)),
        ([{}, {}], (None, False)),
    ],
)
def test_a_worker_and_a_fresh_one_exclude_one_another(
    places: list[dict[str, Any]], placement: tuple[str | None, bool]
) -> None:
    higher, lower = (Marks(**said) for said in places)

    order = resolve(None, higher, NOTHING, lower, by_type=True, isolate_all=False)

    assert order == Order(worker=placement[0], is_fresh=placement[1])


@pytest.mark.parametrize(
    ("said", "by_type", "isolate_all", "is_isolated"),
    [
        ((None, None, None, None), False, False, False),
        ((None, None, None, None), True, False, True),
        ((None, None, None, None), False, True, True),
        ((None, None, None, True), False, False, True),
        ((None, None, True, False), False, False, True),
        ((None, False, True, True), True, False, False),
        ((None, None, None, False), True, False, False),
        ((True, False, None, None), False, False, True),
        ((False, True, True, True), True, False, False),
        ((None, False, None, False), False, True, True),
        ((False, False, None, False), False, True, True),
    ],
)
def test_marks_turn_isolation_on_and_off_and_loosen_no_policy(
    said: tuple[bool | None, ...], by_type: bool, isolate_all: bool, is_isolated: bool
) -> None:
    magic, metadata, tags, comment = (Marks(isolated=value) for value in said)

    line = None if said[0] is None else magic
    order = resolve(line, metadata, tags, comment, by_type=by_type, isolate_all=isolate_all)

    assert order == (Order() if is_isolated else None)


@many
@given(st.none() | marks, marks, marks, marks, st.booleans(), st.booleans())
def test_precedence_is_that_of_a_stack_of_sayings(
    magic: Marks | None, metadata: Marks, tags: Marks, comment: Marks, by_type: bool, every: bool
) -> None:
    # The model writes the lowest place down first; each higher one writes over it.
    board: dict[str, Any] = {"isolated": by_type}
    rank = dict.fromkeys(Marks.__slots__, 0)
    for place, said in enumerate((comment, tags, metadata, magic), 1):
        news = {k: v for k in rank if (v := getattr(said, k, None)) is not None}
        board |= news
        rank |= dict.fromkeys(news, place)
    if magic is not None and magic.isolated is None:
        board["isolated"] = True
    places = [key for key in ("worker", "fresh", "fork") if board.get(key)]
    place = max(places, key=rank.__getitem__, default=None)
    model = Order(
        worker=board["worker"] if place == "worker" else None,
        is_fresh=place == "fresh",
        is_fork=place == "fork",
        is_background=board.get("background", False),
        priority=board.get("priority", 0),
        inputs=board.get("inputs", "auto"),
        outputs=board.get("outputs", ()),
        limits=Limits(**{key: board.get(key) for key in LIMIT_KEYS}),
    )
    marks = (magic, metadata, tags, comment)
    if not (board["isolated"] or every):
        assert resolve(*marks, by_type=by_type, isolate_all=every) is None
    elif model.is_fork and model.is_background:
        with pytest.raises(UsageError, match="fork and bg exclude one another"):
            resolve(*marks, by_type=by_type, isolate_all=every)
    else:
        assert resolve(*marks, by_type=by_type, isolate_all=every) == model


def refusal(read: Callable[[Any], Marks], written: object) -> str | None:
    """What is said against something written; None where it is read."""
    try:
        read(written)
    except UsageError as error:
        return str(error).encode().decode()  # a lone surrogate cannot be shown
    return None
