"""Three hundred hostile texts in every field of a home, as the verbs of the terminal show them."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from flow_kernel.records.home import Home
from tests.apps.running import Cli
from tests.hostile_home import fill
from tests.hostile_texts import HOSTILE

_CONTROLS: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
VERBS: Final = (
    "log", "log --failed", "tasks", "task T-0001", "task T-0002", "context T-0001", "approvals",
    "approvals --status rejected", "approvals A-0001", "approvals A-0002", "reject A-0002",
    "checkpoints", "checkpoints tree", "checkpoints show -1", "diff -1 -2", "runs",
    "runs show R-0001", "runs show R-0001 --logs", "report --task T-0001", "watch",
)  # fmt: skip
PAGES: Final = ("report --task T-0001 --html", "checkpoints tree --html")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("hostile") / ".flow")
    fill(home)
    return home.root


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("harmless") / ".flow")
    fill(home, [f"text {number}" for number in range(len(HOSTILE))])
    return home.root


@pytest.mark.parametrize("verb", VERBS)
def test_no_text_of_a_user_reaches_the_terminal_as_a_control(
    cli: Cli, home: Path, verb: str
) -> None:
    done = cli(*verb.split(), "--home", str(home))

    assert _CONTROLS.findall(done.out + done.err) == []
    assert re.search("window.hacked|script>", done.out + done.err)


@pytest.mark.parametrize("verb", PAGES)
def test_no_text_of_a_user_is_an_element_or_an_attribute_of_a_page(
    cli: Cli, home: Path, harmless: Path, tmp_path: Path, verb: str
) -> None:
    found = []
    for root in (home, harmless):
        page = tmp_path / "page.html"
        assert cli(*verb.split(), str(page), "--home", str(root)).code == 0
        found.append(page.read_text("utf-8"))

    assert _elements(found[0]) == _elements(found[1])
    assert "&lt;script&gt;window.hacked=1&lt;/script&gt;" in found[0]


def _elements(page: str) -> tuple[set[tuple[str, ...]], list[int]]:
    """Each element with the names of its attributes; how often those are there that act."""
    found: Counter[tuple[str, ...]] = Counter()

    class _Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found[(tag, *(name for name, _ in attrs))] += 1

    _Reader().feed(page)
    acts = [
        sum(count for (tag, *_), count in found.items() if tag == each)
        for each in ("a", "meta", "script", "style")
    ]
    return {*found}, acts
