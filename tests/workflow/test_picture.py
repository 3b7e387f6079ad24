"""A run as a picture: every state in words, everything escaped, bounded for any number of steps."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from flow_kernel.workflow.model import OnError, Step, Workflow
from flow_kernel.workflow.picture_details import output_lines, tail_of
from flow_kernel.workflow.picture_html import html_of
from flow_kernel.workflow.picture_sight import MARKS, Sight, sight_of
from flow_kernel.workflow.picture_text import text_of
from flow_kernel.workflow.states import RunStatus, StepState
from flow_kernel.workflow.views import Run, StepView

S = StepState
EVIL = "<script>alert(1)</script>\x1b[31m\u202e\"'&"


def sight(
    *views: StepView,
    needs: dict[str, tuple[str, ...]] | None = None,
    status: RunStatus = RunStatus.SUCCESS,
    name: str = "etl",
    outputs: dict[str, str] | None = None,
) -> Sight:
    known = needs or {}
    steps = tuple(Step(id=v.id, name=v.name, needs=known.get(v.id, ())) for v in views)
    run = Run(
        run_id="R-0001",
        workflow=name,
        status=status,
        reason="",
        task=("local", "T-0000"),
        started_at="2026-11-30T10:00:00.000Z",
        completed_at="2026-11-30T10:00:01.250Z",
        output_data=None,
        steps=views,
    )
    return sight_of(run, Workflow(name=name, steps=steps), outputs=outputs)


def view(name: str, state: StepState = S.OK, **more: object) -> StepView:
    return replace(StepView(id=name, name=name, state=state, attempt=1, executor="fork"), **more)  # type: ignore[arg-type]


def svgs(html: str) -> list[ElementTree.Element]:
    """The drawings of a page, which are well-formed XML."""
    return [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", html, re.S)]


class Tags(HTMLParser):
    """The tags of a page, and its texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("state", StepState)
def test_each_state_has_a_class_a_mark_and_a_word(state: StepState) -> None:
    (svg,) = svgs(html_of(sight(view("fetch", state))))

    (box,) = svg.findall("g")
    assert box.get("class") == state
    assert [each.text for each in box.findall("text")] == [MARKS[state], "fetch", state]
    assert MARKS[state] in text_of(sight(view("fetch", state)))


def test_what_there_is_to_say_of_a_step_stands_in_its_box() -> None:
    views = (
        view("again", attempt=3, elapsed_ms=1234.0),
        view("kept", reused_from="R-0000", elapsed_ms=9.0),
        view("asks", S.WAITING, approval_id="A-0007"),
    )
    (svg,) = svgs(html_of(sight(*views, status=RunStatus.WAITING)))

    assert [box.findall("text")[2].text for box in svg.findall("g")] == [
        "ok · 1.2 s · attempt 3",
        "ok · from R-0000",
        "waiting · A-0007",
    ]


def test_the_critical_path_is_thicker_and_named_with_its_time() -> None:
    views = (
        view("a", elapsed_ms=100.0),
        view("b", elapsed_ms=900.0),
        view("c", elapsed_ms=10.0),
        view("d", elapsed_ms=50.0),
    )
    found = sight(*views, needs={"b": ("a",), "c": ("a",), "d": ("b", "c")})
    html = html_of(found)
    (svg,) = svgs(html)

    thick = [box.findall("text")[1].text for box in svg.findall("g") if box.get("class") == "ok cr"]
    lines = {path.get("class"): str(path.get("d")).count("M") for path in svg.findall("path")}
    assert thick == ["a", "b", "d"]
    assert lines == {"ln": 2, "ar": 2, "ln cr": 2, "ar cr": 2}
    assert "critical path 1.1 s: a → b → d" in html
    assert "critical path 1.1 s: a → b → d" in text_of(found)


def test_a_failure_is_told_in_its_tip_and_its_line_to_a_handler_is_another() -> None:
    failed = view("a", S.ERROR, error={"type": "ValueError", "message": "no rows"})
    found = sight(failed, view("mend"), status=RunStatus.SUCCESS)
    steps = (
        Step(id="a", name="a", on_error=OnError.GOTO, handler="mend"),
        Step(id="mend", name="mend", is_handler=True),
    )
    (svg,) = svgs(html_of(replace(found, steps=steps)))

    assert [path.get("class") for path in svg.findall("path")] == ["ln fl", "ar fl"]
    assert svg.findall("g/title")[0].text == "a\nerror\nValueError: no rows"


def test_a_screen_reader_says_what_the_picture_is() -> None:
    (svg,) = svgs(html_of(sight(view("a"), view("b", S.ERROR), status=RunStatus.FAILED)))

    said = "Run R-0001 etl: failed · 1 of 2 steps ok · 1 failed · 1.2 s"
    assert (svg.get("role"), svg.get("aria-label"), svg.findtext("title")) == ("img", said, said)


def test_everything_from_users_is_escaped() -> None:
    evil = view(
        EVIL, S.ERROR, error={"type": EVIL, "message": EVIL, "traceback": EVIL}, logs=f"{EVIL}\nx"
    )
    found = sight(evil, name=EVIL, outputs={EVIL: f'{{"k": "{EVIL[:25]}"}}'})
    many = sight(*(view(f"{EVIL}{n}") for n in range(300)), name=EVIL)

    for html in (html_of(found), html_of(many)):
        page = Tags(html)
        assert page.tags <= {
            *("style", "div", "b", "span", "pre", "details", "summary"),
            *("svg", "title", "g", "rect", "path", "text"),
        }
        assert not [name for name in page.attributes if name.startswith("on") or name == "href"]
        assert "\x1b" not in html
        assert "\u202e" not in html
        assert svgs(html)
    assert "\x1b" not in text_of(found) + text_of(many)


def test_outputs_logs_and_tracebacks_are_opened_on_demand_and_cut() -> None:
    logs = "".join(f"line {number}\n" for number in range(5000))
    output = '{"rows": [' + ",".join(["12345"] * 9000) + '], "n": 3}'
    html = html_of(sight(view("a", logs=logs), outputs={"a": output}))

    assert html.count("<details") == 1
    assert "line 4999" in html
    assert "line 3000" not in html
    assert "n = 3" in html
    assert len(html) < 12_000
    assert output_lines('{"a": "' + "x" * 500 + '"}') == f'a = "{"x" * 98}…'
    assert tail_of("a\nb") == "a\nb"
    assert tail_of("x\n" * 100 + "end").startswith("… 41 lines before\nx\n")


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_ten_thousand_steps_are_one_small_picture(shape: str) -> None:
    names = [f"s{number}" for number in range(10_000)]
    views = [view(name, S.OK if place < 6000 else S.PENDING) for place, name in enumerate(names)]
    needs = {
        name: (names[place] if shape == "chain" else "s0",) for place, name in enumerate(names[1:])
    }
    found = sight(*views, needs=needs, status=RunStatus.RUNNING)
    html = html_of(found)
    (svg,) = svgs(html)

    assert len(html) < 100_000
    if shape == "chain":
        assert len(svg.findall("g")) == 40
        assert svg.findall("g")[0].findtext("title") == "ranks 1-250 · 250 steps: 250 ok"
    else:
        told = [row.findtext("title") for row in svg.findall("g")]
        assert told == ["s0: 1 ok", "rank 2 · 9,999 steps: 5,999 ok, 4,000 pending"]
    assert len(text_of(found).splitlines()) < 50


def test_a_run_whose_definition_is_lost_is_told_in_counts() -> None:
    found = replace(sight(view("a"), view("b", S.ERROR), status=RunStatus.FAILED), steps=())

    assert "1 ok, 1 error" in html_of(found)
    assert "✗ b" in text_of(found)


def test_text_is_a_list_that_is_indented_by_what_is_needed() -> None:
    views = (view("a", elapsed_ms=5.0), view("long name", S.SKIPPED), view("c", S.PENDING))
    found = sight(*views, needs={"long name": ("a",), "c": ("long name",)})

    assert text_of(found).splitlines() == [
        "R-0001 etl  success · 1 of 3 steps ok · 1.2 s",
        "  ✓ a            ok · 5 ms",
        "    – long name  skipped",
        "      · c        pending",
    ]
