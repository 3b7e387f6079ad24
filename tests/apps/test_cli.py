"""The command line as a process: exit codes, pipes, signals, and what it loads."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pexpect
import pytest

from flow_kernel import __version__
from flow_kernel.apps.cli import GROUPS
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog

VERBS: Final = [verb for verbs in GROUPS.values() for verb in verbs]


@pytest.fixture
def log() -> SampleLog:
    """A log in the home of the working directory."""
    return SampleLog(Path(".flow").absolute())


def test_help_lists_every_verb_and_each_verb_has_help_with_an_example(cli: Cli) -> None:
    overview = cli("--help")

    assert overview.code == 0
    assert [verb for verb in VERBS if f"  {verb} " not in overview.out] == []
    for verb in VERBS:
        done = cli(verb, "--help")
        assert done.code == 0
        assert f"jupyter flow {verb}" in done.out
        assert "example: jupyter flow " in " ".join(done.out.split())


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version").out == f"flow_kernel {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no verb was named"),
        (["lgo"], 'there is no verb "lgo"; did you mean log?'),
        (["xyzzy"], 'there is no verb "xyzzy"; see jupyter flow --help'),
        (["log", "--no-such"], "unrecognized arguments: --no-such; see jupyter flow log --help"),
        (["replay"], "the following arguments are required: LOG, --to"),
        (["stats", "--engine", "abacus"], "argument --engine: invalid choice"),
        (["prune"], "the following arguments are required: --older"),
    ],
)
def test_wrong_arguments_are_one_sentence_on_stderr_and_exit_code_2(
    cli: Cli, arguments: list[str], sentence: str
) -> None:
    done = cli(*arguments)

    assert done.code == 2
    assert done.err.startswith(f"jupyter flow: {sentence}")
    assert done.err.count("\n") == 1


def test_with_json_an_error_is_a_document_on_stdout_too(cli: Cli) -> None:
    done = cli.process("stats", "--json", "--bogus")

    assert (done.code, done.document) == (
        2,
        {
            "error": {
                "type": "UsageError",
                "message": "unrecognized arguments: --bogus",
                "hint": "see jupyter flow stats --help",
            }
        },
    )


def test_a_file_that_cannot_be_read_is_one_sentence_and_exit_code_1(cli: Cli) -> None:
    Path("loop.jsonl").symlink_to("loop.jsonl")
    Path("folder").mkdir()
    Path("folder/file").write_text("", encoding="utf-8")

    done = cli("replay", "loop.jsonl", "--to", "x.ipynb")
    under_a_file = cli("demo", "--out", "folder/file/below")

    assert done.code in (1, 2)
    assert done.err.count("\n") == 1
    assert (under_a_file.code, under_a_file.err.count("\n")) == (1, 1)


def test_a_full_disk_behind_stdout_is_one_sentence_and_exit_code_1(
    cli: Cli, log: SampleLog
) -> None:
    log.cell()

    with Path("/dev/full").open("wb") as full:
        done = cli.process("log", "--json", stdout=full)

    assert (done.code, done.err) == (1, "jupyter flow: No space left on device\n")


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_pipe_that_is_closed_ends_it_quietly(
    cli: Cli, log: SampleLog, options: list[str]
) -> None:
    for _ in range(2000):
        log.cell("x" * 200)

    with cli.apart("log", *options) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.stdout.close()
        code = process.wait(20)
        assert process.stderr is not None
        assert (bool(first), code, process.stderr.read()) == (True, 0, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_caller_has_closed_is_no_error(cli: Cli, closed: str) -> None:
    Path(".flow").mkdir()
    flow = f"{sys.executable} -m flow_kernel.apps.cli"
    codes = [
        subprocess.run(f"{flow} {words} {closed}", shell=True, capture_output=True, check=False)
        for words in ("task start Done --home .flow", "nonsense --json")
    ]

    assert [done.returncode for done in codes] == [0, 2]
    assert not any(b"Traceback" in done.stderr for done in codes)
    # Nothing went into a file that was given the number of a closed stream.
    (task,) = cli("tasks", "--json", "--home", ".flow").document["items"]
    assert (task["name"], cli("check", "--home", ".flow").code) == ("Done", 0)


def test_ctrl_c_ends_it_with_130_and_without_a_traceback(cli: Cli, log: SampleLog) -> None:
    log.cell()

    with cli.apart("log", "--follow", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (130, b"")


def test_an_encoding_without_the_signs_gets_plain_ones(cli: Cli, log: SampleLog) -> None:
    log.cell("été = '日本'", added_vars=["été"])

    done = cli.process("log", env={**os.environ, "PYTHONIOENCODING": "ascii"})

    assert (done.code, done.err) == (0, "")
    assert done.lines[-1].split() == ["09:30:01", "2", "+", "41", "ms", "?t?", "=", "'??'", "+?t?"]


def test_a_terminal_gets_colours_and_its_width_unless_no_color_is_set(log: SampleLog) -> None:
    log.failed("boom()" + " " * 60 + "# the end", added_vars=["boom"])
    log.hidden()

    plain_text = _on_a_terminal(60, NO_COLOR="1")
    coloured = _on_a_terminal(60)
    dumb = _on_a_terminal(60, TERM="dumb")

    assert "\x1b" not in plain_text + dumb
    assert "\x1b[31m✗\x1b[0m" in coloured
    assert max(len(line) for line in plain_text.splitlines()) <= 60


def test_it_is_found_by_jupyter_under_its_name() -> None:
    script = Path(sys.executable).with_name("jupyter-flow")
    if not script.exists():
        pytest.skip("the package is not installed")

    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter"), "flow", "--version"],
        capture_output=True,
        check=False,
        env={**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"},
    )

    assert done.stdout.decode() == f"flow_kernel {__version__}\n"


def test_a_verb_loads_its_own_module_and_nothing_heavy() -> None:
    loaded = {verb: _modules_after(verb, "--help") for verb in ("log", "stats", "replay", "check")}
    bare = _modules_after("--help")

    heavy = {"IPython", "ipykernel", "jupyter_client", "zmq", "duckdb", "nbformat", "psutil"}
    assert {verb: names & heavy for verb, names in loaded.items()} == {v: set() for v in loaded}
    assert not [name for name in bare if name.startswith("flow_kernel.records")]
    assert "flow_kernel.apps.stats" not in loaded["log"]


def test_a_deleted_working_directory_is_said(cli: Cli, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = (
        "import os, sys; from flow_kernel.apps.cli import main\n"
        "os.rmdir(os.getcwd()); sys.exit(main())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "log"], cwd=gone, capture_output=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr == b"jupyter flow: the working directory no longer exists\n"


def _on_a_terminal(columns: int, **env: str) -> str:
    surroundings = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "flow_kernel.apps.cli", "log"],
        env={**surroundings, "TERM": "xterm-256color", **env},
        dimensions=(30, columns),
        encoding="utf-8",
        timeout=20,
    )
    child.expect(pexpect.EOF)
    text = str(child.before).replace("\r\n", "\n")
    child.close()
    assert child.exitstatus == 0
    return text


def _modules_after(*arguments: str) -> set[str]:
    program = (
        "import json, sys; from flow_kernel.apps.cli import main; "
        "main(sys.argv[1:]); print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, check=True
    )
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(names)
