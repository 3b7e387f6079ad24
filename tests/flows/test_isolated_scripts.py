"""Cells that are scripts of bash, in real kernels: what they say, and how they end."""

import shutil
import sys

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash"),
]


def script(kernel: Kernel, text: str, *, options: str = "", **more: object) -> Ran:
    return kernel.run(f"%%isolated --shell {options}\n{text}", **more)  # type: ignore[arg-type]


@promise("isolated.scripts")
def test_a_script_runs_where_the_session_stands_with_its_environment(kernel: Kernel) -> None:
    ok(kernel, "import os; os.environ['SAID'] = 'here'; os.mkdir('deep'); os.chdir('deep')")
    ran = script(kernel, 'pwd; echo "$SAID"; echo $(echo é€𝄞)')
    assert (ran.status, ran.stderr) == ("ok", "")
    assert ran.stdout == f"{kernel.cwd}/deep\nhere\né€𝄞\n"
    ok(kernel, "os.chdir('..')")


@promise("isolated.scripts")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exit 3", "the script ended with exit code 3"),
        ("true; false", "the script ended with exit code 1"),
        ("no_such_thing", "the script ended with exit code 127: a command was not found"),
        ("kill -9 $$", "the script was ended by SIGKILL"),
        ("sh -c 'kill -SEGV $$'", "exit code 139: SIGSEGV has ended its last command"),
        ("if", "the script ended with exit code 2"),
    ],
)
def test_a_script_that_fails_is_one_short_error_with_its_code(
    kernel: Kernel, text: str, told: str
) -> None:
    ran = script(kernel, text)
    assert ran.reply["ename"] == "ScriptFailed"
    assert ran.reply["evalue"].endswith(told)
    assert [m["content"]["traceback"] for m in ran.of("error")] == [
        [f"ScriptFailed: {ran.reply['evalue']}"]
    ]
    record = kernel.logs.one("cell", msg_id=ran.msg_id)
    assert (record["success"], record["code"]) == (False, f"%%isolated --shell \n{text}")
    assert record["worker"].startswith("w")


@promise("isolated.scripts")
def test_a_script_that_ends_well_after_a_failure_succeeds(kernel: Kernel) -> None:
    ran = script(kernel, "false\ntrue")
    assert (ran.status, ran.stdout, ran.stderr) == ("ok", "", "")
    record = kernel.logs.one("cell", msg_id=ran.msg_id)
    assert (record["success"], record["added_vars"]) == (True, [])


@promise("isolated.scripts")
def test_builds_and_tests_say_what_they_say_in_a_terminal(kernel: Kernel) -> None:
    makefile = "all: said\\nsaid:\\n\\t@echo made > said; cat said\\n"
    ran = script(kernel, f"printf '{makefile}' > Makefile && make && make 2>&1 | tail -1")
    assert (ran.stdout.splitlines()[0], ran.stderr) == ("made", "")
    ran = script(kernel, "echo 'int main(void) { return 7; }' | gcc -x c -o seven - && ./seven")
    assert ran.reply["evalue"] == "the script ended with exit code 7"
    ran = script(kernel, "printf 'int main(void) { oops }' | gcc -x c -o none -")
    assert ran.reply["evalue"] == "the script ended with exit code 1"
    assert "oops" in ran.stderr
    ran = script(kernel, "git init -q . && git status --short --branch | head -1")
    assert ran.stdout.startswith("## No commits yet")


@promise("isolated.scripts")
def test_output_comes_while_the_script_runs(kernel: Kernel) -> None:
    msg_id = kernel.send(
        "%%isolated --shell\nprintf '\\r1 of 2'; echo on error >&2\n"
        "until [ -e go ]; do sleep 0.01; done\nprintf '\\r2 of 2'"
    )
    kernel.wait_for_text("\r1 of 2")
    kernel.wait_for_text("on error\n", "stderr")
    (kernel.cwd / "go").touch()
    ran = kernel.collect(msg_id)
    assert (ran.stdout, ran.stderr) == ("\r1 of 2\r2 of 2", "on error\n")


@promise("isolated.scripts")
def test_all_of_a_large_output_arrives(kernel: Kernel) -> None:
    ran = script(kernel, "seq 1 2800000")
    assert len(ran.stdout) > 20_000_000
    assert ran.stdout == "".join(f"{n}\n" for n in range(1, 2_800_001))


@promise("isolated.scripts")
def test_a_script_of_a_megabyte_and_one_with_nul_bytes_run(kernel: Kernel) -> None:
    assert script(kernel, f"true '{'x' * 1_000_000}'\necho $?").stdout == "0\n"
    ran = script(kernel, "echo a\0b")
    assert ran.stdout == "ab\n"
    assert "ignored null byte" in ran.stderr


@promise("isolated.scripts")
def test_what_is_no_text_arrives_as_replacements(kernel: Kernel) -> None:
    assert script(kernel, "printf 'a\\377b'").stdout == "a\N{REPLACEMENT CHARACTER}b"


@promise("isolated.scripts")
def test_nothing_of_a_script_is_left_for_the_next_one(kernel: Kernel) -> None:
    script(kernel, "cd /; export OURS=1; shopt -s extglob; theirs=2; exec > /dev/null")
    ran = script(kernel, 'pwd; echo "[$OURS$theirs]"')
    assert ran.stdout == f"{kernel.cwd}\n[]\n"


@promise("isolated.scripts")
def test_a_script_leaves_the_variables_of_its_worker_alone(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker both\nkept = 5")
    ran = script(kernel, "kept=6; exit 4", options="--worker both")
    assert ran.reply["ename"] == "ScriptFailed"
    assert ok(kernel, "%%isolated --worker both\nkept, In[-2]") == "(5, 'kept=6; exit 4')"
    assert script(kernel, "echo $0", options="--fresh").stdout == "bash\n"


@promise("isolated.scripts")
def test_no_program_of_a_script_sees_more_than_its_three_streams(kernel: Kernel) -> None:
    ran = script(kernel, "cat /proc/self/cmdline > /dev/null; ls /proc/self/fd; ps -o args= -p $$")
    *fds, arguments = ran.stdout.splitlines()
    assert fds == ["0", "1", "2", "3"]  # the last is that of `ls` itself
    assert "cmdline" not in arguments


@promise("isolated.scripts")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--out x", "a script of bash has no variables of Python: --out gives nothing"),
        ("--in x", "a script of bash has no variables of Python: --in brings nothing"),
        ("--fork", "--fork and --shell exclude one another"),
        ("--no", "a script of bash runs in a worker only"),
    ],
)
def test_what_a_script_cannot_have_is_refused_before_it_runs(
    kernel: Kernel, options: str, told: str
) -> None:
    ran = script(kernel, "touch began", options=options)
    assert ran.reply["ename"] == "UsageError"
    assert told in ran.stderr
    assert not (kernel.cwd / "began").exists()


@promise("isolated.scripts", "isolated.marks")
@pytest.mark.parametrize(
    ("code", "metadata"),
    [
        ("# flow: isolated shell\necho $BASH_VERSION", {}),
        ("echo $BASH_VERSION", {"flow": {"isolated": True, "shell": True}}),
        ("%%isolated\necho $BASH_VERSION", {"flow": {"shell": True}}),
    ],
)
def test_any_mark_makes_a_script(kernel: Kernel, code: str, metadata: dict[str, object]) -> None:
    ran = kernel.run(code, metadata=metadata)
    assert (ran.status, ran.stdout[:1].isdigit()) == ("ok", True)
    assert kernel.logs.one("cell", msg_id=ran.msg_id)["code"] == code


@promise("isolated.scripts")
def test_a_worker_without_bash_says_so_in_one_sentence(kernel: Kernel) -> None:
    ok(kernel, "import os; path = os.environ['PATH']; os.environ['PATH'] = '/nowhere'")
    ran = script(kernel, "echo ran")
    ok(kernel, "os.environ['PATH'] = path")
    assert (ran.reply["ename"], ran.stdout) == ("IsolationUnavailable", "")
    assert ran.reply["evalue"].startswith("the worker found no bash to run the script with")
    assert script(kernel, "echo ran").stdout == "ran\n"


@promise("isolated.scripts")
def test_a_script_with_the_line_ends_of_windows_runs_and_a_mixed_one_keeps_them(
    kernel: Kernel,
) -> None:
    text = "if true; then\r\n  echo one\r\nfi\r\ncat <<END\r\ntwo\r\nEND"
    assert script(kernel, text).stdout == "one\ntwo\n"
    assert script(kernel, "cat <<END\nthree\r\nEND").stdout == "three\r\n"
