"""A cell that breaks `sys.stdout` or `sys.stderr` has its reply, and the next one its output.

Stock ipykernel hangs in most of these: it flushes both before each reply.
"""

from typing import Final

import pytest

from flow_kernel.shell.overrides.all_overrides import override_findings
from tests.kernels import Kernel
from tests.promises import promise

BOUND_S: Final = 5.0
_OWN: Final = "; the kernel's own is in its place\n"
_BAD: Final = (
    "class Bad:\n    def write(self, text): raise {0}('w')\n    def flush(self): raise {0}('f')\n"
)

BROKEN: Final[dict[str, tuple[str, str]]] = {
    "closed": ("sys.{0}.close()", "was closed"),
    "none": ("sys.{0} = None", "was None"),
    "no_stream_at_all": ("sys.{0} = 5", "cannot be flushed (AttributeError)"),
    "one_without_flush": (
        "class Bad:\n    def write(self, text): return len(text)\nsys.{0} = Bad()",
        "cannot be flushed (AttributeError)",
    ),
    "one_that_fails": (_BAD.format("OSError") + "sys.{0} = Bad()", "cannot be flushed (OSError)"),
    "one_that_exits": (
        _BAD.format("SystemExit") + "sys.{0} = Bad()",
        "cannot be flushed (SystemExit)",
    ),
    "one_that_interrupts": (
        _BAD.format("KeyboardInterrupt") + "sys.{0} = Bad()",
        "cannot be flushed (KeyboardInterrupt)",
    ),
    "a_closed_file": (
        "sys.{0} = open('/dev/null', 'w'); sys.{0}.close()",
        "cannot be flushed (ValueError)",
    ),
}


@promise("faults.streams")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("name", BROKEN)
def test_the_next_cell_has_its_output_and_is_told(flow: Kernel, name: str, stream: str) -> None:
    code, what = BROKEN[name]
    breaks = flow.run("import sys\n" + code.format(stream), timeout=BOUND_S)
    shown = flow.run("print('out')\nprint('err', file=sys.stderr)\n1 + 1", timeout=BOUND_S)
    failed = flow.run("1/0", timeout=BOUND_S, stop_on_error=False)

    assert breaks.status == "ok"
    assert (shown.stdout, shown.result) == ("out\n", "2")
    assert shown.stderr == f"flow: sys.{stream} {what}{_OWN}err\n"
    assert failed.error is not None
    assert failed.error["ename"] == "ZeroDivisionError"


@promise("faults.streams")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("name", sorted(set(BROKEN) - {"closed"}))
def test_the_cell_that_breaks_it_still_shows_its_results(
    flow: Kernel, name: str, stream: str
) -> None:
    code, _ = BROKEN[name]
    breaks = "import sys\n" + code.format(stream)
    shown = flow.run(f"{breaks}\ndisplay(1); 1 + 1", timeout=BOUND_S)
    failed = flow.run(f"{breaks}\n1/0", timeout=BOUND_S, stop_on_error=False)
    flow.run("")

    assert ([each["text/plain"] for each in shown.displays], shown.result) == (["1"], "2")
    assert failed.error is not None
    assert failed.error["ename"] == "ZeroDivisionError"


@promise("faults.streams")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_one_that_was_deleted_is_back(flow: Kernel, stream: str) -> None:
    flow.run(f"import sys; del sys.{stream}", timeout=BOUND_S, stop_on_error=False)
    ran = flow.run("print('out'); sys.stderr.write('err\\n')", timeout=BOUND_S)

    assert (ran.stdout, ran.result) == ("out\n", "4")
    assert ran.stderr == f"flow: sys.{stream} was deleted{_OWN}err\n"


@promise("faults.streams")
def test_one_that_was_closed_shows_again_what_programs_write(flow: Kernel) -> None:
    for _ in range(3):
        flow.run("import os, sys; print('before'); sys.stdout.close()", timeout=BOUND_S)
        ran = flow.run("os.write(1, b'here\\n'); os.system('echo there');", timeout=BOUND_S)
        assert ran.stdout == "here\nthere\n"


@promise("faults.streams")
def test_one_that_works_is_left_in_its_place(flow: Kernel) -> None:
    flow.run("import io, sys; own, sys.stdout = sys.stdout, io.StringIO()")
    shown = flow.run("print('kept'); 1 + 1")
    failed = flow.run("1/0", stop_on_error=False)
    kept = flow.run("kept = sys.stdout.getvalue(); sys.stdout = own; print(kept)")

    assert (shown.stdout, shown.stderr, shown.result) == ("", "", "2")
    assert failed.error is not None
    assert kept.stdout == "kept\n\n"


@promise("faults.streams")
def test_a_worker_mends_them_as_well(flow: Kernel) -> None:
    for name in sorted(set(BROKEN) - {"closed"}):
        code, _ = BROKEN[name]
        breaks = "%%isolated\nimport sys\n" + code.format("stdout")
        shown = flow.run(f"{breaks}\n1 + 1", timeout=BOUND_S)
        after = flow.run("%%isolated\nprint('out')\n1 + 1", timeout=BOUND_S)

        assert (shown.result, after.stdout, after.result) == ("2", "out\n", "2"), name


@promise("faults.streams")
def test_each_override_finds_what_it_overrides() -> None:
    assert [each.name for each in override_findings() if not each.ok] == []
