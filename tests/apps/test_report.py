"""`jupyter flow report`: one file that tells what was planned and done, safe to open."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.contract import StepRow, TaskRow
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog

_AT = "2026-11-21T10:00:00.000Z"
_EVIL = "<script>alert(1)</script>\x1b[31m\u202e\0"


_HARMLESS = {
    *("html", "head", "meta", "title", "style", "body", "div", "h1", "h2", "p", "ul", "li", "i"),
    *("span", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "code", "pre"),
    *("br", "div", "main", "nav", "article", "h3", "a", "time"),
}


class _Page(HTMLParser):
    """The tags of a page; fails at an attribute that could do something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        of_meta = {"charset", "name", "content", "http-equiv"}
        plain = {"class", "style", "lang", "id", "aria-hidden", "aria-label"}
        allowed = of_meta if tag == "meta" else {"href"} if tag == "a" else plain
        assert {name for name, _ in attrs} <= allowed
        # A link leads to a place on the page itself.
        assert all((value or "").startswith("#t") for name, value in attrs if name == "href")

    @classmethod
    def tags_of(cls, page: str) -> set[str]:
        parser = cls()
        parser.feed(page)
        parser.close()
        return parser.tags


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one task, whose texts are hostile, and the cells of its log."""
    root = tmp_path / "work" / ".flow"
    flow = flow_of(Home(root), author="ann")
    with flow.store.write() as change:
        task_id = change.new_task_id("local")
        names = {"plan_id": "local", "task_id": task_id}
        row = TaskRow(**names, name=f"Clean {_EVIL}", status="done", started_at=_AT, ended_at=_AT)
        change.put_task(row, at=_AT)
        change.put_step(StepRow(**names, number=1, name=f"load {_EVIL}", state="done"), at=_AT)
        change.put_step(StepRow(**names, number=2, name="check"), at=_AT)
        change.note("step", "local", task_id, _AT, {"step": "load", "log": f"header {_EVIL}"})
    flow.update_task_context(task_id, {"rows": 3, "note": "<b>"})
    flow.close()
    log = SampleLog(root)
    log.cell(f"x = '{_EVIL[:25]}'", added_vars=["x"], stdout="<img src=x onerror=alert(1)>")
    log.failed("boom()")
    return root


def test_the_page_holds_everything_and_nothing_that_runs(cli: Cli, home: Path) -> None:
    done = cli("report", "--html", "r.html")

    page = Path("r.html").read_text("utf-8")
    assert (done.code, done.out) == (0, "wrote r.html\n")
    for text in ("1 of 2 steps", "rows = 3", "2 cells, 1 failed", "header", "boom()"):
        assert text in page
    assert _Page.tags_of(page) <= _HARMLESS
    assert not re.search("[\0\x1b\u202e]", page)
    assert "default-src 'none'" in page


def test_without_a_file_it_is_markdown_on_the_screen(cli: Cli, home: Path) -> None:
    done = cli("report", "--task", "T-0001")

    assert done.code == 0
    assert done.lines[0].startswith("# T-0001 Clean \\<script\\>")
    assert "- ✓ load" in done.out
    assert "## 2 cells, 1 failed" in done.lines


def test_programs_get_one_document(cli: Cli, home: Path) -> None:
    (item,) = cli("report", "--json").document["items"]

    assert (item["task_id"], item["cells"], item["failures"]) == ("T-0001", 2, 1)
    assert [cell["status"] for cell in item["cell_list"]] == ["ok", "error"]
    assert item["log"][0]["step"] == "load"
    cli("report", "--json", "r.json", "--md", "r.md")
    assert json.loads(Path("r.json").read_text("utf-8"))["items"] == [item]
    assert Path("r.md").read_text("utf-8").startswith("# T-0001")


def test_a_cell_stands_before_the_cells_that_it_ran(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    outer = "1" * 16
    log.cell("inner()", span_id="2" * 16, parent_span_id=outer)
    log.cell("%%step outer", span_id=outer)

    (item,) = cli("report", "--json").document["items"]

    codes = [cell["code"] for cell in item["cell_list"]]
    assert codes.index("%%step outer") + 1 == codes.index("inner()")


def test_files_questions_and_failures_are_told_with_who_and_when(cli: Cli, home: Path) -> None:
    made = home.parent / "clean <b>.csv"
    made.write_bytes(b"a,b\n")
    flow = flow_of(Home(home), author="ann")
    flow.start_task("Write")
    flow.add_artifact("T-0002", made)
    flow.add_artifact("T-0002", "gone.csv")
    flow.finish_task("T-0002")
    flow.close()
    log = SampleLog(home, task="T-0002", session="c" * 32)
    asked = {"approval_id": "A-0001", "message": "Write <it>?", "step": None}
    answer = {"decided_by": "bob", "decided_at": _AT, "channel": "cli", "comment": "fine <i>"}
    log.put("approval", **asked, status="open")
    log.put("approval", **asked, **answer, status="approved")
    log.failed("1/0")

    cli("report", "--task", "T-0002", "--html", "r.html", "--md", "r.md")
    (item,) = cli("report", "--task", "T-0002", "--json").document["items"]

    digest = hashlib.sha256(b"a,b\n").hexdigest()
    assert item["artifacts"] == [
        {"path": "clean <b>.csv", "bytes": 4, "sha256": digest, "problem": ""},
        {"path": "gone.csv", "bytes": None, "sha256": None, "problem": "missing"},
    ]
    page, text = (Path(name).read_text("utf-8") for name in ("r.html", "r.md"))
    assert _Page.tags_of(page) <= _HARMLESS
    for told in (digest, "missing", "A-0001 Write &lt;it&gt;?", "approved by bob (cli) 10:00:00"):
        assert told in page
    assert "fine &lt;i&gt;" in page
    assert 'href="#t1c1"><code>1/0</code></a>' in page
    for told in (digest, "gone.csv · missing", "bob", "fine \\<i\\>"):
        assert told in text


def test_deaths_interrupts_and_timeouts_are_told_in_few_words(cli: Cli, home: Path) -> None:
    log = SampleLog(home, session="d" * 32)
    stopped = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": [], "line": 1}
    log.failed("wait()", error=stopped, status="interrupted")
    log.death(reason="killed")
    asked = {"approval_id": "A-0001", "message": "Go on?", "status": "rejected"}
    log.put("approval", **asked, decided_by="timeout", decided_at=_AT, channel="timeout")

    cli("report", "--html", "r.html")

    page = Path("r.html").read_text("utf-8")
    assert '<span class="bad">KeyboardInterrupt</span>' in page
    assert "the kernel died: killed" in page
    assert "rejected by timeout 10:00:00" in page


def test_several_tasks_are_one_page_with_a_way_to_each(cli: Cli, home: Path) -> None:
    cli("task", "start", "Second")

    cli("report", "--html", "r.html")

    page = Path("r.html").read_text("utf-8")
    assert re.findall(r'<a href="#(t\d)"', page) == ["t1", "t2"]
    assert re.findall(r'<article id="(t\d)"', page) == ["t1", "t2"]
    assert len(re.findall("<h1", page)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--task", "T-0042"], 2, "there is no task T-0042"),
        (["--plan", "other"], 2, "no tasks to report"),
        (["--html", "missing/r.html"], 1, "No such file"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(
    cli: Cli, home: Path, arguments: list[str], code: int, said: str
) -> None:
    done = cli("report", *arguments)

    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert done.err.count("\n") == 1
