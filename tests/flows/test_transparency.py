"""Programs on a stock kernel and on ours: everything that a program or its user sees is equal.

Each program is a list of cells in an empty namespace; replies, output, results, errors and displays
are compared whole.
"""

from typing import Final

import pytest

from tests.pairs import Pair, effects
from tests.promises import promise

_NOISY: Final = """
class Noisy:
    def __init__(self, name): self.name = name
    def __del__(self): print('end of', self.name)
"""

OBJECTS: Final[dict[str, list[str]]] = {
    "a_file_without_a_name_is_closed_at_once": [
        "open('out.txt', 'w').write('s' * 8000)",
        "import os; print(os.path.getsize('out.txt'))",
    ],
    "a_rebound_file_is_closed_in_its_cell": [
        "f = open('out2.txt', 'w'); _n = f.write('s' * 8000)",
        "f = None; import os; print(os.path.getsize('out2.txt'))",
    ],
    "del_runs_at_the_rebinding": [
        _NOISY,
        "x = Noisy('first')",
        "print('before'); x = Noisy('second'); print('after')",
        "x = Noisy('third')\nprint('bound')",
        "del x\nprint('deleted')",
    ],
    "del_order_of_several": [
        _NOISY + "a, b, c = map(Noisy, 'abc')",
        "b = 1; a = 2; c = 3; print('done')",
    ],
    "an_exception_keeps_and_frees_its_locals_alike": [
        _NOISY + "def fails():\n    here = Noisy('local')\n    raise ValueError('no')",
        "fails()",
        "print('next')",
        "1/0",
        "print('last')",
    ],
    "a_shown_value_lives_as_long": [
        _NOISY + "def make(n):\n    return Noisy(n)",
        "make('shown') and None",
        "make('kept').name",
        "print('next')",
    ],
    "an_array_can_be_resized_in_the_next_cell": [
        "import numpy as np\nA = np.arange(10)",
        "A.resize(20)\nprint(A.shape)",
        "A.resize(5); A = A * 2",
        "A.resize(7); print(A)",
    ],
    "a_replaced_value_is_dead_in_the_next_cell": [
        "import weakref\nclass V: pass\nx = V(); r = weakref.ref(x)",
        "print(r() is x)",
        "x = V(); print(r())",
        "r = weakref.ref(x)",
        "del x",
        "print(r())",
    ],
    "reference_counts_of_globals": [
        "import sys\nx = object(); y = [x]; z = {'k': y}",
        "print(sys.getrefcount(x), sys.getrefcount(y), sys.getrefcount(z))",
        "y.append(1); print(sys.getrefcount(x), sys.getrefcount(y))",
    ],
    "referrers_of_a_global": [
        "import gc\nx = ['only', 'mine']; d = {'a': x}",
        "print(sorted(type(r).__name__ for r in gc.get_referrers(x)))",
        "x.append(1); print(sorted(type(r).__name__ for r in gc.get_referrers(x)))",
    ],
    "a_cycle_is_collected_when_it_would_be": [
        "import gc, weakref\nclass N: pass\na = N(); a.me = a; r = weakref.ref(a)",
        "del a; print(gc.collect() > 0, r())",
    ],
    "an_open_generator_is_closed_on_rebinding": [
        "def g():\n    try:\n        yield 1\n    finally:\n        print('closed')\nit = g(); next(it)",
        "it = None; print('rebound')",
    ],
    "a_failing_del_is_reported_alike": [
        "class D:\n    def __del__(self): raise ValueError('in del')",
        "d = D(); d = None",
    ],
    "weak_collections_shrink_in_time": [
        "import weakref\nclass V: pass\nx = V(); s = weakref.WeakSet([x]); f = weakref.WeakValueDictionary(k=x)",
        "x = 0\nprint(len(s), len(f))",
    ],
    "the_last_exception_is_kept_alike": [
        "1/0",
        "import sys; print(sys.last_type, sys.last_value, sys.exc_info(), sys.last_traceback.tb_lineno)",
    ],
    "identity_of_small_and_large_values": [
        "a = 257; b = 'text' * 3; t = (1, 2)",
        "import sys; print(sys.getrefcount(t), a is 257 + 0, b is b)",
    ],
    "a_view_and_its_base": [
        "import numpy as np\nb = np.zeros(4); v = b[:2]",
        "v += 1; print(b, v.base is b)",
        "b = None; print(v.base)",
    ],
    "a_frame_in_place": [
        "import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})",
        "df['c'] = df.a + df.b",
        "df",
        "df.drop(columns='a', inplace=True); print(df.columns.tolist(), df._item_cache if hasattr(df, '_item_cache') else '')",
    ],
}

OUTPUT: Final[dict[str, list[str]]] = {
    "print_and_result": ["print('a'); print('b', end=''); 1 + 1", "None", "'text'", "_"],
    "stderr_and_stdout": [
        "import sys\nprint('e', file=sys.stderr); print('o'); sys.stderr.flush()"
    ],
    "display_between_prints": ["print(1); display('two'); print(3); display('four'); 5"],
    "unicode_and_controls": ["print('ä 漢 🎉 \\x1b[31mred\\x1b[0m \\r\\t\\x07')", "'🎉'"],
    "a_megabyte": ["print('x' * 1_000_000)", "'y' * 100_000"],
    "write_of_lines": ["import sys\nfor i in range(500): sys.stdout.write(f'{i}\\n')"],
    "redirected": [
        "import contextlib, io\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    print('in')\nprint(repr(b.getvalue()))",
    ],
    "replaced_and_put_back": [
        "import sys, io\nreal = sys.stdout; sys.stdout = io.StringIO()",
        "print('lost'); text = sys.stdout.getvalue(); sys.stdout = real",
        "print(repr(text))",
    ],
    "logging_and_warnings": [
        "import logging; logging.warning('logged'); logging.info('not')",
        "import warnings; warnings.warn('said')",
        "def w(): warnings.warn('once')\nfor _ in range(3): w()",
        "w()",
        "warnings.warn('old', DeprecationWarning)",
    ],
    "an_error_through_frames": [
        "def f(n):\n    return 1 / n if n == 0 else f(n - 1)",
        "print('before')\nf(2)\nprint('never')",
        "raise ValueError('bad') from KeyError('cause')",
        "try:\n    1/0\nexcept ZeroDivisionError:\n    {}['k']",
        "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
        "assert [] == [1], 'not equal'",
        "e = ValueError('noted'); e.add_note('a note'); raise e",
    ],
    "errors_before_execution": [
        "x = = 1",
        "if True:\nx",
        "  y",
        "'open",
        "f(",
        "return 3",
        "\t\n",
        "await",
        "%%nomagic",
    ],
    "an_error_with_hostile_text": [
        "class E(Exception):\n    def __str__(self): raise RuntimeError('str')\nraise E()",
        "class F(Exception):\n    __module__ = None\nraise F('no module')",
    ],
    "exits": [
        "raise SystemExit(3)",
        "import sys; sys.exit('text')",
        "raise SystemExit",
        "raise KeyboardInterrupt",
    ],
    "hostile_representations": [
        "class R:\n    def __repr__(self): raise ValueError('repr')\nR()",
        "class S:\n    def __repr__(self): return 3\nS()",
        "class H:\n    def _repr_html_(self): return '<b>h</b>'\n    def __repr__(self): return 'h'\nH()",
        "class I:\n    def _ipython_display_(self): print('shown')\nI()",
        "class M:\n    def _repr_mimebundle_(self, **k): return {'text/x-own': 'm', 'text/plain': 'p'}\nM()",
        "class G:\n    def __getattr__(self, n): print('asked', n); raise AttributeError(n)\nG()",
    ],
    "displays_updates_and_clears": [
        "h = display('first', display_id='d1'); h.update('second')",
        "from IPython.display import clear_output, HTML, JSON, Markdown, update_display\nclear_output(wait=True); display(HTML('<i>x</i>'), JSON({'a': 1}), Markdown('*m*'))",
        "update_display('third', display_id='d1')",
        "display({'text/plain': 'raw', 'application/x-own+json': [1]}, raw=True)",
    ],
    "a_figure": [
        "%matplotlib inline\nimport matplotlib.pyplot as plt",
        "_l = plt.plot([1, 3, 2])",
        "fig, ax = plt.subplots(figsize=(1, 1)); ax.bar([1, 2], [3, 4]); plt.show()",
    ],
    "own_display_hooks": [
        "ip = get_ipython()\nip.display_formatter.formatters['text/plain'].for_type(int, lambda o, p, c: p.text(f'<int {o}>'))",
        "41",
        "ip.display_formatter.formatters['text/plain'].pop(int) and None",
        "41",
    ],
    "a_suppressed_result": ["1 + 1;", "x = 5", "x;", "x # ;", "if x:\n    x"],
    "nan_and_large_numbers": ["float('nan'), float('inf'), 2 ** 200, 1e400, -0.0"],
}


@promise("transparent.objects")
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_live_and_die_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*OBJECTS[name])

    assert effects(flow) == effects(stock)


@promise("transparent.output")
@pytest.mark.parametrize("name", OUTPUT)
def test_a_cell_shows_what_it_shows_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*OUTPUT[name])

    assert effects(flow) == effects(stock)
