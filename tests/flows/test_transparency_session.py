"""Magics, namespaces, history and inspection on a stock kernel and on ours are equal."""

from typing import Final

import pytest

from tests.pairs import Pair, effects
from tests.promises import promise

SESSION: Final[dict[str, list[str]]] = {
    "names_at_the_start": [
        "print(sorted(dir()))",
        "print(sorted(globals()))",
        "x = 1; print(sorted(dir()))",
    ],
    "globals_is_the_main_module": [
        "import sys\nprint(globals() is locals(), sys.modules['__main__'].__dict__ is globals(), __name__)",
        "print(globals() is get_ipython().user_ns, __builtins__.__name__)",
    ],
    "names_that_libraries_sniff": [
        "ip = get_ipython(); print(type(ip).__name__, 'IPKernelApp' in ip.config, ip.has_trait('kernel'))",
        "from ipykernel.ipkernel import IPythonKernel; print(isinstance(ip.kernel, IPythonKernel), ip.kernel.implementation, ip.kernel.banner.split('Tip')[0])",
        "from ipykernel.zmqshell import ZMQInteractiveShell; print(isinstance(ip, ZMQInteractiveShell))",
        "import IPython; print(IPython.get_ipython() is ip, ip is get_ipython(), ip.parent is ip.kernel)",
    ],
    "who": ["a = 1; b = 'two'; import math", "%who", "%whos", "%who_ls int", "del a", "%who"],
    "results_and_inputs": [
        "40 + 1",
        "_ + 1",
        "print(_, __, ___, Out, _1)",
        "print(In, _i, _ii, _ih == In, _oh == Out)",
        "_2",
    ],
    "history": [
        "x = 1\ny = 2",
        "%history -n",
        "%history -o -p 1",
        "print(get_ipython().history_manager.input_hist_raw)",
        "%recall 1",
        "%rerun 1",
    ],
    "deletion": ["x = 1", "del x", "x", "x = 1; del x; print('x' in globals())", "%xdel nothing"],
    "star_import": ["from math import *", "print(pi, 'sqrt' in globals())"],
    "exec_and_eval": [
        "exec('e = 5')\nprint(e)",
        "exec('f = 6', globals()); print(f, eval('e + f'))",
        "globals()['a b'] = 1; print(globals()['a b'])",
        "vars()['g'] = 2; print(g)",
        "exec('raise ValueError(1)')",
    ],
    "a_run_script": [
        "%%writefile script.py\nimport sys\nv = 7\nprint('in', __name__, sys.argv)",
        "%run script.py a b",
        "print(v)",
        "%run -i script.py",
        "%run absent.py",
    ],
    "nested_cells": [
        "r = get_ipython().run_cell('n = 3\\nprint(n)\\nn + 1')",
        "print(r.success, r.result, r.execution_count)",
        "r = get_ipython().run_cell('1/0'); print(type(r.error_in_exec).__name__)",
        "r = get_ipython().run_cell('s = 1', store_history=True, silent=True); print(s)",
        "get_ipython().ex('t = 2'); print(get_ipython().ev('t + 1'))",
    ],
    "async_cells": [
        "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')",
        "async def g():\n    for i in range(3):\n        yield i\n[i async for i in g()]",
        "async with asyncio.timeout(5):\n    z = await asyncio.gather(asyncio.sleep(0, 'a'), asyncio.sleep(0, 'b'))\nz",
        "await asyncio.sleep(0)\n1/0",
        "task = asyncio.create_task(asyncio.sleep(0, 'later'))",
        "await task",
        "raise asyncio.CancelledError",
    ],
    "context_variables": [
        "import contextvars\nv = contextvars.ContextVar('v', default=0)\nv.set(5) and None",
        "print(v.get(), len([k for k in contextvars.copy_context() if k.name == 'v']))",
        "import asyncio\nv.set(6)\nawait asyncio.sleep(0)\nprint(v.get())",
    ],
    "source_of_a_function": [
        "def f(x):\n    # a comment\n    return x\nclass C:\n    def m(self): pass",
        "import inspect; print(inspect.getsource(f), inspect.getsource(C.m))",
        "import linecache; print(linecache.getline(f.__code__.co_filename, 2))",
    ],
    "callers_of_a_cell": [
        "import inspect; print([f.function for f in inspect.stack()[:4]])",
        "import sys; print([f.f_code.co_name for f in (sys._getframe(0), sys._getframe(1), sys._getframe(2))])",
    ],
    "pickles_of_own_classes": [
        "import pickle\nclass P:\n    def __init__(self): self.a = 1\ndef q(): return 2",
        "p = pickle.loads(pickle.dumps(P())); print(type(p) is P, p.a, P.__module__, P.__qualname__)",
        "print(pickle.loads(pickle.dumps(q)) is q)",
    ],
    "doctests": [
        "def f():\n    '''\n    >>> f()\n    1\n    '''\n    return 2",
        "import doctest; doctest.testmod()",
    ],
    "magics": [
        "%pwd",
        "%cd -q ..",
        "import os; os.path.isdir('work')",
        "%cd -q work",
        "%env NEW=1",
        "%env NEW",
        "%%capture c\nprint('held')",
        "c.stdout",
        "%precision 2",
        "3.14159",
        "%precision",
        "%alias_magic p pwd",
        "%p",
        "%nosuchmagic",
        "%%nosuchcell\nx",
    ],
    "own_magics": [
        "from IPython.core.magic import register_line_magic, register_cell_magic\n@register_line_magic\ndef twice(line): return line * 2\n@register_cell_magic\ndef upper(line, cell): return cell.upper()",
        "%twice ab",
        "x = %twice c\nprint(x)",
        "%%upper\nbody",
    ],
    "error_modes": ["%xmode Plain", "1/0", "%tb", "%xmode Context", "%tb"],
    "transformers": [
        "ip = get_ipython()\ndef swap(lines): return [l.replace('$', 'print') for l in lines]\nip.input_transformers_post.append(swap)",
        "$('transformed')",
        "ip.input_transformers_post.remove(swap)",
        "import ast\nclass N(ast.NodeTransformer):\n    def visit_Constant(self, n): return ast.copy_location(ast.Constant(42), n) if n.value == 1 else n\nip.ast_transformers.append(N())",
        "1",
        "ip.ast_transformers.clear()",
        "1",
    ],
    "own_callbacks": [
        "ip = get_ipython()\nseen = []\ndef pre(info): seen.append(('pre', info.raw_cell, info.silent, info.store_history))\ndef post(r): seen.append(('post', r.success, r.result))\nip.events.register('pre_run_cell', pre); ip.events.register('post_run_cell', post)",
        "1 + 1",
        "1/0",
        "ip.events.unregister('pre_run_cell', pre); ip.events.unregister('post_run_cell', post); seen",
    ],
    "own_exception_handler": [
        "ip = get_ipython()\nip.set_custom_exc((ZeroDivisionError,), lambda self, t, v, tb, tb_offset=None: print('handled', v))",
        "1/0",
        "ip.set_custom_exc((), None)",
        "1/0",
    ],
    "annotations_and_future": [
        "x: int = 1\nprint(__annotations__)",
        "from __future__ import annotations\ndef f(a: NotDefined): pass\nprint(f.__annotations__)",
        "def g(a: AlsoNot): pass\nprint(g.__annotations__)",
    ],
    "walrus_loops_and_comprehensions": [
        "if (n := 3) > 2: print(n)",
        "for i in range(3):\n    s = i * 2\nprint(i, s)",
        "[k for k in range(2)]; 'k' in globals()",
        "def outer():\n    global made\n    made = 1\nouter(); made",
        "match [1, 2]:\n    case [a, *b]: print(a, b)",
    ],
    "shell_commands": [
        "!echo out; echo err >&2",
        "files = !ls -d /\nfiles",
        "!exit 3",
        "_exit_code",
        "%%bash\necho bashed",
        "%%sh\nexit 1",
    ],
    "reloading": [
        "%%writefile mod_a.py\nV = 1",
        "import sys; sys.path.insert(0, ''); sys.dont_write_bytecode = True\nimport mod_a; mod_a.V",
        "%%writefile mod_a.py\nV = 22",
        "import importlib; importlib.reload(mod_a); mod_a.V",
        "sys.path.remove(''); sys.dont_write_bytecode = False; del sys.modules['mod_a']",
    ],
    "rich_session_objects": [
        "get_ipython().user_ns_hidden.keys() >= {'In', 'Out'}",
        "sorted(get_ipython().events.callbacks)",
        "get_ipython().ast_node_interactivity, get_ipython().autoawait, get_ipython().colors",
    ],
    "interactivity_of_all_expressions": [
        "%config InteractiveShell.ast_node_interactivity = 'all'",
        "1\n2",
        "%config InteractiveShell.ast_node_interactivity = 'last_expr'",
    ],
    "seeds_between_cells": [
        "import random, numpy as np; random.seed(1); np.random.seed(1)",
        "print(random.random(), np.random.rand())",
        "print(random.getstate()[1][-1], random.random(), np.random.rand())",
    ],
    "payloads": [
        "get_ipython().set_next_input('next = 1')",
        "len?",
        "get_ipython().payload_manager.write_payload({'source': 'own'})",
    ],
    "reset": ["x = 1; 5", "%reset -f", "x", "print(sorted(dir()))", "%reset_selective -f nothing"],
}


@promise("transparent.session")
@pytest.mark.parametrize("name", SESSION)
def test_a_session_behaves_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*SESSION[name])

    assert effects(flow) == effects(stock)
