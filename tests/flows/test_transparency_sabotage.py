"""Cells that patch builtins, clear modules or lower limits do no more harm than in stock ipykernel.

Programs that put everything back share a pair of kernels; the others ruin one of their own.
"""

from typing import Final

import pytest

from tests.pairs import Pair, effects
from tests.promises import promise

_COUNT: Final = """
import sys, builtins
BOUNDS = {'__main__', 'IPython', 'ipykernel', 'tornado', 'traitlets', 'zmq', 'jupyter_client', 'asyncio'}
def watch(owner, name):
    real = getattr(owner, name)
    def watched(*a, **k):
        frame = sys._getframe(1)
        while frame is not None:
            module = frame.f_globals.get('__name__', '').split('.')[0]
            if module == 'flow_kernel':
                ours.append((name, frame.f_globals['__name__'], frame.f_code.co_name))
            if module == 'flow_kernel' or module in BOUNDS:
                break
            frame = frame.f_back
        return real(*a, **k)
    setattr(owner, name, watched)
ours = []
"""

WATCHED: Final = (
    _COUNT
    + """
import time, json, os, io, threading, hashlib, zlib
for owner, names in [
    (builtins, 'len isinstance issubclass repr print open hash getattr hasattr iter next id sorted max min sum any all callable vars dir __import__'.split()),
    (time, 'time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time sleep'.split()),
    (json, 'dumps loads dump load'.split()),
    (os, 'write read open close fsync fdatasync getcwd getpid stat lseek'.split()),
    (io, ['open']),
    (zlib, ['crc32']),
    (hashlib, ['sha256', 'blake2b']),
]:
    for name in names:
        watch(owner, name)
"""
)

SABOTAGE: Final[dict[str, list[str]]] = {
    "len_that_fails_for_one_object": [
        "import builtins; real = len; thing = [1]\ndef bad(o):\n    if o is thing: raise RuntimeError('len')\n    return real(o)\nbuiltins.len = bad",
        "thing.append(2)",
        "len(thing)",
        "builtins.len = real; print(len(thing))",
    ],
    "clocks_that_fail": [
        "import time\ndef no(*a): raise RuntimeError('time')\ntime.perf_counter = time.process_time = time.time_ns = time.thread_time = no",
        "x = 1; print(x)",
        "time.time_ns()",
    ],
    "monotonic_that_stands_still": ["import time; time.monotonic = lambda: 0.0", "x = 1; print(x)"],
    "modules_cleared_but_those_of_the_kernel": [
        "import sys; kept = 'sys builtins __main__ ipykernel zmq IPython tornado traitlets jupyter_client'.split()\nfor name in list(sys.modules):\n    if name.split('.')[0] not in kept: del sys.modules[name]\nx = 1",
        "print(x)",
        "import json; print(json.dumps(x))",
    ],
    "isinstance_that_lies": [
        "import builtins; real = builtins.isinstance\ndef lies(o, k): return False if type(o).__name__ == 'Mine' else real(o, k)\nclass Mine: pass",
        "builtins.isinstance = lies; m = Mine()",
        "print(isinstance(m, Mine))",
    ],
    "print_replaced": [
        "import builtins; real = builtins.print; builtins.print = lambda *a, **k: real('<', *a, '>')",
        "print('x')",
        "builtins.print = real; print('y')",
    ],
    "open_that_fails": [
        "import builtins; real = builtins.open\ndef no(*a, **k): raise PermissionError('open')\nbuiltins.open = no",
        "x = 1; print(x)",
        "open('f')",
        "builtins.open = real; print('back')",
    ],
    "os_write_that_fails": [
        "import os; real = os.write\ndef no(*a): raise OSError('write')\nos.write = no",
        "x = 1",
        "os.write = real; print('back')",
    ],
    "time_that_stands_still": [
        "import time; real = time.time; time.time = lambda: 0.0",
        "x = 1; print(time.time())",
        "time.time = real; print(x)",
    ],
    "monotonic_that_fails_within_a_cell": [
        "import time; real = time.monotonic\ndef no(): raise RuntimeError('mono')\ntime.monotonic = no; x = 5; time.monotonic = real",
        "print(x)",
    ],
    "monotonic_that_fails": [
        "import time; real = time.monotonic_ns\ndef no(): raise RuntimeError('mono')\ntime.monotonic_ns = no",
        "x = 5",
        "time.monotonic_ns = real; print(x)",
    ],
    "json_that_fails": [
        "import json; real = json.dumps, json.loads\ndef no(*a, **k): raise RuntimeError('json')\njson.dumps = json.loads = no",
        "x = {'a': 1}; x",
        "json.dumps, json.loads = real; print(x)",
    ],
    "hashes_that_fail": [
        "import hashlib, zlib\ndef no(*a, **k): raise RuntimeError('hash')\nhashlib.sha256 = zlib.crc32 = no",
        "x = 1; print(x)",
    ],
    "import_that_fails": [
        "import builtins; real = builtins.__import__\ndef no(name, *a, **k):\n    if name.startswith('flow_kernel'): raise ImportError(name)\n    return real(name, *a, **k)\nbuiltins.__import__ = no",
        "x = 1; import string; print(string.digits)",
        "builtins.__import__ = real",
    ],
    "modules_forgotten": [
        "import sys; kept = dict(sys.modules)\nfor name in list(sys.modules):\n    if name.split('.')[0] in ('flow_kernel', 'orjson', 'psutil', 'json', 'hashlib'): del sys.modules[name]",
        "x = 1; print(x)",
        "import json; print(json.dumps({'a': x}))",
    ],
    "a_low_recursion_limit": [
        "import sys; sys.setrecursionlimit(60)",
        "x = 1; print(x)",
        "y = [x]; y",
        "sys.setrecursionlimit(1000); print('back')",
    ],
    "stdout_that_is_none": [
        "import sys; real = sys.stdout; sys.stdout = None; x = 1; sys.stdout = real",
        "print(x)",
    ],
    "stdout_that_fails": [
        "import sys; real = sys.stdout\nclass Bad:\n    def write(self, s): raise OSError('stdout')\n    def flush(self): pass\nsys.stdout = Bad()\nprint('x')",
        "sys.stdout = real; print('back')",
    ],
    "displayhook_replaced": [
        "import sys; real = sys.displayhook; sys.displayhook = lambda v: print('own', v)",
        "1 + 1",
        "sys.displayhook = real",
        "2",
    ],
    "gc_off_and_frozen": [
        "import gc; gc.disable(); gc.freeze()",
        "x = [1]",
        "gc.enable(); gc.unfreeze(); print(x)",
    ],
    "a_deleted_directory": [
        "import os, tempfile; old = os.getcwd(); d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
        "x = 1; print(x)",
        "os.getcwd()",
        "os.chdir(old); print('back')",
    ],
    "another_main_module": [
        "import sys, types; sys.modules['__main__'] = types.ModuleType('__main__')",
        "x = 1; print(x)",
        "print(hasattr(sys.modules['__main__'], 'x'))",
    ],
    "builtins_shadowed_by_globals": [
        "len = isinstance = repr = type = id = list = dict = sorted = print = open = None",
        "x = 1; x",
        "del len, isinstance, repr, type, id, list, dict, sorted, print, open",
        "print(x)",
    ],
    "get_ipython_shadowed": ["get_ipython = In = Out = _ih = None; x = 1", "print(x)"],
    "a_thread_class_that_fails": [
        "import threading; real = threading.Thread.start\ndef no(self): raise RuntimeError('thread')\nthreading.Thread.start = no",
        "x = 1; print(x)",
        "threading.Thread.start = real",
    ],
    "umask_and_locale": [
        "import os, locale; _u = os.umask(0o777); x = 1",
        "_u = os.umask(0o22); print(x)",
    ],
    "an_int_limit": [
        "import sys; sys.set_int_max_str_digits(640); x = 10 ** 5000",
        "sys.set_int_max_str_digits(0); print(len(str(x)))",
    ],
    "a_trace_function_left_on": [
        "import sys\nn = 0\ndef t(f, e, a):\n    global n\n    n += 1\nsys.settrace(t)",
        "def f(): pass\nf(); x = 1",
        "sys.settrace(None); print(x, n > 0)",
    ],
    "namespaces_cleared": ["x = 1; globals().clear()", "1 + 1"],
    "own_excepthook_and_audit": [
        "import sys\nevents = []\ndef audit(event, args):\n    if event in ('open', 'import', 'exec') and sys._getframe(1).f_globals.get('__name__', '').startswith('flow_kernel'): events.append(event)\nsys.addaudithook(audit)",
        "x = 1",
        "print(events)",
    ],
}

RUINOUS: Final = {
    "clocks_that_fail",
    "monotonic_that_stands_still",
    "modules_cleared_but_those_of_the_kernel",
    "hashes_that_fail",
    "isinstance_that_lies",
    "json_that_fails",
    "modules_forgotten",
    "another_main_module",
    "get_ipython_shadowed",
    "namespaces_cleared",
    "own_excepthook_and_audit",
    "len_that_fails_for_one_object",
}


@promise("transparent.sabotage")
def test_the_recorder_calls_no_function_that_a_cell_can_patch(fresh_pair: Pair) -> None:
    cells = [
        WATCHED,
        "a = [1, 2]; s = 'text'",
        "a.append(3); print(s); a",
        "1/0",
        "import decimal, wave",
        "print(ours)",
    ]

    stock, flow = fresh_pair.run(*cells)

    assert flow[-1].stdout == stock[-1].stdout == "[]\n"


@promise("transparent.sabotage")
@pytest.mark.parametrize("name", [name for name in SABOTAGE if name not in RUINOUS])
def test_sabotage_that_is_mended_harms_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*SABOTAGE[name])

    assert effects(flow) == effects(stock)


@promise("transparent.sabotage")
@pytest.mark.parametrize("name", sorted(RUINOUS))
def test_sabotage_that_stays_harms_as_in_stock_ipykernel(fresh_pair: Pair, name: str) -> None:
    stock, flow = fresh_pair.run(*SABOTAGE[name])

    assert effects(flow) == effects(stock)
