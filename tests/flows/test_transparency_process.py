"""The state of the process, its threads and children are those of stock ipykernel.

Differences that are meant: one more daemon thread (it syncs the log), faulthandler is on (its report
tells the next kernel of a fatal signal), and up to four frames below the cell.
"""

import json
from typing import Final

import pytest

from tests.kernels import Kernel
from tests.pairs import Pair, effects
from tests.promises import promise

STATES: Final[dict[str, str]] = {
    "signal_handlers": "import signal\n[(s.name, str(getattr(h := signal.getsignal(s), '__qualname__', h))) for s in sorted(signal.valid_signals()) if hasattr(s, 'name')]",
    "signal_mask": "import signal; sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))",
    "trace_and_profile": "import sys, threading; (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile())",
    "hooks": "import sys, threading\n[(n, type(h).__module__, type(h).__qualname__, getattr(h, '__qualname__', '')) for n in ('displayhook', 'excepthook', 'unraisablehook', 'breakpointhook') for h in [getattr(sys, n)]] + [threading.excepthook.__name__]",
    "streams": "import sys\n[(type(s).__name__, type(s).__module__, s.encoding, s.errors, s.isatty(), s.name, s.fileno() > 2, s.writable(), s.closed) for s in (sys.stdout, sys.stderr)]",
    "original_streams": "import sys\n[(type(s).__name__, s.name, s.fileno()) for s in (sys.__stdout__, sys.__stderr__, sys.__stdin__)]",
    "import_machinery": "import sys\n[getattr(f, '__qualname__', type(f).__qualname__) for f in sys.meta_path + sys.path_hooks]",
    "path": "import sys; sys.path",
    "flags": "import sys; (sys.flags, sys.dont_write_bytecode, sys._xoptions, sys.warnoptions, sys.argv[1:])",
    "limits_of_the_interpreter": "import sys, threading; (sys.getrecursionlimit(), sys.getswitchinterval(), threading.stack_size(), sys.get_int_max_str_digits())",
    "gc": "import gc; (gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count(), [getattr(c, '__name__', c) for c in gc.callbacks])",
    "resource_limits": "import resource\n[(n, resource.getrlimit(getattr(resource, n))) for n in sorted(dir(resource)) if n.startswith('RLIMIT')]",
    "environment": "import os\n{k: v for k, v in sorted(os.environ.items()) if k not in ('JPY_PARENT_PID', 'JPY_SESSION_NAME')}",
    "umask_and_priority": "import os; m = os.umask(0o22); os.umask(m); (oct(m), os.nice(0), sorted(os.sched_getaffinity(0)))",
    "session_and_group": "import os; (os.getpid() == os.getpgrp(), os.getpid() == os.getsid(0), os.getcwd())",
    "warnings_filters": "import warnings; [str(f) for f in warnings.filters] + [warnings.showwarning.__name__]",
    "logging": "import logging; (logging.root.level, [type(h).__name__ for h in logging.root.handlers], logging.getLoggerClass().__name__, logging.raiseExceptions)",
    "locale_and_numbers": "import locale, decimal; (locale.setlocale(locale.LC_ALL), str(decimal.getcontext()))",
    "memory_tracing": "import tracemalloc; (tracemalloc.is_tracing(), tracemalloc.get_traceback_limit())",
    "builtins": "import builtins; sorted(dir(builtins))",
    "unpatched_functions": "import builtins, os, time, io, json, subprocess, threading, asyncio\n[(f.__module__, f.__qualname__) for f in (builtins.open, builtins.print, builtins.len, builtins.__import__, os.fork, os.write, os._exit, os.system, time.time, time.sleep, json.dumps, subprocess.Popen.__init__, threading.Thread.start, threading.Thread.run, asyncio.run, io.open)]",
    "input_functions": "import builtins, getpass; (builtins.input.__qualname__, getpass.getpass.__qualname__)",
    "event_loop": "import asyncio\nl = asyncio.get_running_loop() if False else asyncio.get_event_loop_policy()\n(type(l).__name__,)",
    "event_loop_of_an_async_cell": "import asyncio\nawait asyncio.sleep(0)\n(type(asyncio.get_running_loop()).__name__, asyncio.get_running_loop().get_debug(), len(asyncio.all_tasks()))",
    "current_thread": "import threading; t = threading.current_thread(); (t.name, t.daemon, t is threading.main_thread())",
    "codecs_and_encodings": "import sys; (sys.getdefaultencoding(), sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())",
    "children": "import os; open(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read()",
    "asyncio_and_atexit_modules": "import multiprocessing as m; (m.get_start_method(allow_none=True), m.current_process().name)",
}

CHILDREN: Final[dict[str, list[str]]] = {
    "a_forked_child_that_exits": [
        "import os\npid = os.fork()\nif pid == 0:\n    os._exit(7)\nos.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])",
        "print('parent goes on')",
    ],
    "a_pool_of_processes": [
        "import multiprocessing as m\nctx = m.get_context('fork')\ndef sq(x): return x * x\nwith ctx.Pool(2) as pool:\n    r = pool.map(sq, range(4))\nr",
    ],
    "a_subprocess_with_its_result": [
        "import subprocess; subprocess.run(['echo', 'hello'], capture_output=True, text=True).stdout",
        "subprocess.run('exit 4', shell=True).returncode",
    ],
    "threads_that_end_in_the_cell": [
        "import threading\ndef work(n): print('thread', n)\nfor n in range(3):\n    t = threading.Thread(target=work, args=(n,)); t.start(); t.join()",
        "def bad(): raise ValueError('in thread')\nt = threading.Thread(target=bad, name='bad'); t.start(); t.join()",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as ex: print(list(ex.map(str, range(3))))",
    ],
    "signals_of_the_user": [
        "import signal, os\nold = signal.signal(signal.SIGUSR1, lambda s, f: print('got', s))\nos.kill(os.getpid(), signal.SIGUSR1)",
        "os.kill(os.getpid(), signal.SIGUSR1); _old = signal.signal(signal.SIGUSR1, old)",
        "_a = signal.signal(signal.SIGALRM, lambda s, f: print('alarm')); _b = signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()",
    ],
    "tracing_by_the_user": [
        "import sys\nseen = []\nsys.settrace(lambda f, e, a: seen.append(f.f_code.co_name) if f.f_globals.get('__name__') == '__main__' else None)",
        "def traced(): pass\ntraced()",
        "sys.settrace(None); print(seen, sys.gettrace())",
    ],
    "the_working_directory": [
        "import os; os.makedirs('sub', exist_ok=True); os.chdir('sub')",
        "os.path.basename(os.getcwd())",
        "os.chdir('..')",
    ],
    "descriptors_of_the_user": [
        "import os\nr, w = os.pipe(); os.write(w, b'through'); os.close(w); os.read(r, 10)",
        "os.close(r); open('kept.txt', 'w').close(); os.stat('kept.txt').st_mode & 0o777 in (0o644, 0o600, 0o664)",
    ],
}

LATE: Final[dict[str, tuple[str, str]]] = {
    "a_write_to_the_descriptor": (
        "import os; print('first', flush=True); _n = os.write(1, b'bare bytes\\n')",
        "bare bytes\n",
    ),
    "a_write_to_stderr": ("import os; _n = os.write(2, b'bare error\\n')", "bare error\n"),
    "a_subprocess": (
        "import subprocess; _p = subprocess.run(['echo', 'from below'])",
        "from below\n",
    ),
    "os_system": ("import os; _s = os.system('echo systemd')", "systemd\n"),
    "a_forked_child": (
        "import os\nif os.fork() == 0:\n    os.write(1, b'child bytes\\n'); os._exit(0)\n_w = os.wait()",
        "child bytes\n",
    ),
}


@promise("transparent.process")
@pytest.mark.parametrize("name", STATES)
def test_the_state_of_the_process_is_that_of_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(STATES[name])

    assert effects(flow) == effects(stock)


@promise("transparent.process")
def test_a_cell_can_recurse_as_deep_as_in_stock_ipykernel(pair: Pair) -> None:
    pair.forget()
    dive = "def deep(n):\n    try:\n        return deep(n + 1)\n    except RecursionError:\n        return n\nprint(deep(0))"

    stock, flow = (int(runs[0].stdout) for runs in pair.run(dive))

    assert stock - flow <= 4


@promise("transparent.process")
@pytest.mark.parametrize("name", CHILDREN)
def test_children_threads_and_signals_work_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*CHILDREN[name])

    assert effects(flow) == effects(stock)


@promise("transparent.process")
@pytest.mark.parametrize("name", LATE)
def test_bytes_on_a_descriptor_reach_the_user_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()
    code, text = LATE[name]

    def seen(kernel: Kernel) -> str:
        ran = kernel.run(code)
        kernel.wait(lambda: text in kernel.stream("stdout") + kernel.stream("stderr"))
        return ran.status + kernel.stream("stdout") + "|" + kernel.stream("stderr")

    stock, flow = pair.both(seen)

    assert flow == stock


@promise("transparent.process")
def test_at_most_one_more_thread_runs_and_it_is_a_daemon(fresh_pair: Pair) -> None:
    listing = "import threading, json; print(json.dumps(sorted([t.name, t.daemon] for t in threading.enumerate())))"

    stock, flow = (json.loads(runs[0].stdout) for runs in fresh_pair.run(listing))

    more = [thread for thread in flow if thread not in stock]
    assert [thread for thread in stock if thread not in flow] == []
    assert [daemon for _, daemon in more] in ([], [True])


@promise("transparent.process")
def test_a_forked_child_that_falls_through_leaves_the_session_alone(fresh_pair: Pair) -> None:
    fall = "import os\nparent = os.getpid()\nchild = os.fork()\nprint('both')"

    def seen(kernel: Kernel) -> list[object]:
        kernel.run(fall)
        end = "import signal\nif os.getpid() == parent:\n    os.kill(child, signal.SIGKILL); print(os.waitpid(child, 0)[0] == child)"
        return [kernel.run(end).stdout, kernel.run("1 + 1").result]

    stock, flow = fresh_pair.both(seen)

    assert flow == stock == ["True\n", "2"]


@promise("transparent.process")
def test_functions_registered_at_exit_run_at_an_orderly_end(fresh_pair: Pair) -> None:
    def seen(kernel: Kernel) -> str:
        kernel.run("import atexit; atexit.register(lambda: open('said', 'w').write('bye'))")
        kernel.shutdown()
        return (kernel.cwd / "said").read_text(encoding="utf-8")

    assert fresh_pair.both(seen) == ("bye", "bye")


@promise("transparent.process")
def test_cells_open_no_descriptors(pair: Pair) -> None:
    pair.forget()
    # The history thread opens and closes the journal of its database at times of its own.
    count = """
import os
def target(fd):
    try: return os.readlink(f'/proc/self/fd/{fd}')
    except OSError: return 'history'
print(sum('history' not in target(fd) for fd in os.listdir('/proc/self/fd')))
"""

    def growth(kernel: Kernel) -> int:
        first = int(kernel.run(count).stdout)
        for _ in range(20):
            kernel.run("x = 1")
        return int(kernel.run(count).stdout) - first

    assert pair.both(growth) == (0, 0)
