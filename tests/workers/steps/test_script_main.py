"""A forked step is what `python script.py` is: what it prints, and how it ends."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.workers.steps.host import StepHost
from flow_kernel.workers.steps.spawned import Spawned
from tests.workers.steps.scripts import Runs, Steps

_AHEAD = ("argparse", "dataclasses", "json", "logging", "multiprocessing", "concurrent.futures")

_MULTIPROCESSING = """
import multiprocessing, sys
from dataclasses import dataclass

@dataclass
class Point:
    x: int

def double(point):
    return Point(2 * point.x)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(1) as pool:
        print(pool.map(double, [Point(1), Point(2)]))
"""

SCRIPTS = {
    "names": "print(sorted(globals())); print(__name__, __file__, __package__, __spec__, __doc__)",
    "loader": "print(type(__loader__).__name__, __cached__, __annotations__, __builtins__)",
    "docstring": '"""What it is."""\nprint(__doc__)',
    "arguments": "import sys; print(sys.argv, sys.path[0])",
    "surroundings": "import os\n"
    "print(os.getcwd(), os.environ['MARK'], os.getsid(0) == os.getpid())",
    "environment": "import os, subprocess\n"
    "print({k: v for k, v in os.environ.items() if k != 'FLOW_WORKER_TAG'})\n"
    "print(sorted(subprocess.run('env', capture_output=True).stdout.split(b'\\n'))[1:5])",
    "program": "import sys; print(sys.orig_argv, sys.executable, sys.dont_write_bytecode)",
    "builtins": "print(exit, quit, help, copyright)",
    "main module": "import sys; print(sys.modules['__main__'].__dict__ is globals())",
    "stdin": "import sys; print(repr(sys.stdin.read()))",
    "streams": "import sys\nfor s in (sys.stdout, sys.stderr):\n"
    "    print(s.encoding, s.errors, s.line_buffering, s.write_through, s.seekable(), s.name)",
    "order": "import os\nprint('buffered')\nos.write(1, b'raw\\n')\nos.write(2, b'error\\n')",
    "not utf-8": "import sys; sys.stdout.buffer.write(bytes(range(256)))",
    "surrogates": "import sys; sys.stderr.write('\\udc80')",
    "exit none": "import sys; sys.exit()",
    "exit 3": "import sys; sys.exit(3)",
    "exit true": "import sys; sys.exit(True)",
    "exit 256": "import sys; sys.exit(256)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit huge": "import sys; sys.exit(2**80)",
    "exit text": "import sys; print('out'); sys.exit('no such thing')",
    "exit object": "import sys; sys.exit([1, 2])",
    "exit raised": "raise SystemExit",
    "os._exit": "import os; print('lost'); os._exit(7)",
    "error": "def f():\n    raise ValueError('no')\n\nf()",
    "error chain": "try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('k') from e",
    "error group": "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])",
    "error with note": "e = ValueError('no')\ne.add_note('a note')\nraise e",
    "syntax error": "print('not run')\ndef f(:\n    pass\n",
    "indentation": "if 1:\nprint(1)",
    "interrupt": "raise KeyboardInterrupt",
    "recursion": "import sys\nsys.setrecursionlimit(200)\ntry:\n    (f := lambda: f())()\n"
    "except RecursionError:\n    print('deep')",
    "excepthook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1 / 0",
    "bad excepthook": "import sys\nsys.excepthook = lambda *a: {}['x']\n1 / 0",
    "last traceback": "import atexit, sys\natexit.register(lambda: print(sys.last_type))\n1 / 0",
    "atexit": "import atexit\natexit.register(print, 'at exit')\nprint('in time')",
    "atexit error": "import atexit\nclass F:\n    __repr__ = lambda self: 'F'\n"
    "    def __call__(self): 1 / 0\natexit.register(F())",
    "atexit after exit": "import atexit, sys\natexit.register(print, 'bye')\nsys.exit(4)",
    "thread": "import threading\ndef late():\n"
    "    threading.main_thread().join()\n    print('thread')\n"
    "threading.Thread(target=late).start()\nprint('main')",
    "daemon": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('main')",
    "exit in thread": "import sys, threading\nthreading.Thread(target=sys.exit, args=(5,)).start()",
    "del": "class A:\n    def __del__(self):\n        print('del', A.__name__)\na = A()",
    "unclosed file": "f = open('left.txt', 'w'); f.write('x' * 10)\ndef g(): pass\n"
    "import atexit, os; atexit.register(lambda: print(os.path.getsize('left.txt')))",
    "warning": "import warnings; warnings.warn('careful')",
    "deprecation": "import warnings; warnings.warn('old', DeprecationWarning)",
    "source": "import inspect\nclass A:\n    x = 1\n\ndef f():\n    return 2\n"
    "print(inspect.getsource(f), inspect.getsource(A))",
    "pickle": "import pickle\nclass A:\n    pass\nprint(pickle.loads(pickle.dumps(A())).__class__)",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int' = 1\n"
    "print(A())",
    "annotations": "from __future__ import annotations\nx: Nothing = 1\nprint(__annotations__)",
    "no annotations": "def f(x: int): ...\nprint(f.__annotations__)",
    "fork": "import os\npid = os.fork()\nif pid:\n    os.waitpid(pid, 0)\nprint('both')",
    "subprocess": "import subprocess, sys\n"
    "print(subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True))",
    "futures": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor(2) as pool: print(list(pool.map(abs, [-1, -2])))",
    "closed stdout": "import sys; sys.stdout.close()",
    "no stdout": "import sys; sys.stdout = None; print('nowhere')",
    "full": "import os, sys\nprint('x')\nos.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
    "logging": "import logging; logging.warning('seen')",
    "asyncio": "import asyncio\nasync def f(): return 3\nprint(asyncio.run(f()))",
    "signals": "import signal\nfor n in ('SIGINT', 'SIGTERM', 'SIGCHLD', 'SIGPIPE'):\n"
    "    print(signal.getsignal(getattr(signal, n)))",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "import beside": "import beside; print(beside.VALUE, beside.__file__)",
    "import hidden": "import json; print(json.VALUE)",
    "descriptors": "import os; print(sorted(os.listdir('/proc/self/fd'))[:3])",
    "threads": "import threading; print(threading.active_count(), threading.main_thread().name)",
}
_FILES = {"import beside": ("beside.py", "VALUE = 1"), "import hidden": ("json.py", "VALUE = 2")}


@pytest.fixture(scope="module", params=["forked", "spare", "fresh"])
def steps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Steps]:
    kinds: dict[str, Runs] = {
        "forked": StepHost(preload=_AHEAD),
        "spare": StepHost(preload=_AHEAD, spares=1),
        "fresh": Spawned(),
    }
    with asyncio.Runner() as runner:
        runs = kinds[request.param]
        yield Steps(runner, runs, tmp_path_factory.mktemp("steps"))
        runner.run(runs.close())


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_and_returns_what_it_does_as_a_program(steps: Steps, name: str) -> None:
    file = _FILES.get(name)
    if file is not None:
        (steps.directory / file[0]).write_text(file[1])
    job = steps.job(SCRIPTS[name], "--flag", "a b", env={"MARK": "ü", "PYTHONWARNINGS": ""})
    program = subprocess.run(
        [sys.executable, *job.argv], env=job.env, cwd=job.cwd, capture_output=True,
        stdin=subprocess.DEVNULL, start_new_session=True, check=False,
    )  # fmt: skip

    end, said = steps.run(job)
    if file is not None:
        os.unlink(steps.directory / file[0])

    assert (end.returncode, end.stdout, said) == (
        program.returncode, program.stdout, program.stderr.decode(),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_finds_the_classes_of_the_script(steps: Steps, method: str) -> None:
    end, said = steps.run(steps.job(_MULTIPROCESSING, method))

    assert (end.returncode, end.stdout, said) == (0, b"[Point(x=2), Point(x=4)]\n", "")


def test_a_file_that_the_script_leaves_open_is_written_whole(steps: Steps) -> None:
    source = "f = open('whole.txt', 'w')\nf.write('all of it')\ndef keeps(): return f\n"

    end, _ = steps.run(steps.job(source))

    assert (end.returncode, (steps.directory / "whole.txt").read_text()) == (0, "all of it")


def test_source_that_is_in_no_file_has_its_lines_in_a_traceback(steps: Steps) -> None:
    job = steps.job("import sys\nraise ValueError('no')\n")
    Path(job.filename).unlink()

    end, said = steps.run(job)

    assert (end.returncode, said) == (
        1,
        f'Traceback (most recent call last):\n  File "{job.filename}", line 2, in <module>\n'
        "    raise ValueError('no')\nValueError: no\n",
    )


def test_steps_draw_other_random_numbers(steps: Steps) -> None:
    job = steps.job("import random; print(random.random())")

    drawn = {steps.run(job)[0].stdout for _ in range(3)}

    assert len(drawn) == 3
