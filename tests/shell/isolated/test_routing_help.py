"""What a person is offered and told of the options of `%%isolated`."""

import pytest

from flow_kernel.shell.isolated.routing import OPTIONS, complete, help_text

NAMES = [option.name for option in OPTIONS]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("", NAMES),
        ("%%isolated ", NAMES),
        ("%%isolated --t", ["--timeout"]),
        ("--o", ["--out", "--output"]),
        ("--fresh", ["--fresh"]),
        ("--worker=w1 --f", []),
        ("--fork --sh", []),
        ("--bg --p", ["--processes", "--priority"]),
        ("--fresh --no --w", []),
        ("--memory ", []),
        ("--memory 2", []),
        ("--memory 2G --m", []),
        ("--in=a,b --out x --i", ["--idempotent"]),
        ("--memory 2G ", [name for name in NAMES if name != "--memory"]),
        ("%%isolated", []),
    ],
)
def test_options_that_are_not_used_yet_are_offered(line: str, offered: list[str]) -> None:
    assert complete(line) == offered


def test_the_help_says_each_option_in_a_line_of_its_own() -> None:
    lines = help_text().splitlines()

    assert lines[1] == "  --fresh             run in a new worker, which ends with the cell"
    assert [line.split()[0] for line in lines] == NAMES
