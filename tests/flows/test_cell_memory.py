"""What small cells leave behind: what stock keeps of them is found, in fewer bytes."""

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.promises import promise

_CELLS = ("a = 1", "b = [1, 2, 3]\n", "print('a')", "a + 1", "%who_ls int", "a = 1  ", "1 / 0") * 3

_LOOKS = (
    "%history -n 1-25",
    "%history -t -n 1-25",
    "%history -o 1-25",
    "In[1:23], _i1, _i2, _i8, _ih is In, type(In)",
    "ip = get_ipython()\nip.history_manager.input_hist_raw[1:23]",
    "sorted(Out), _4, _oh is Out",
    "def joined(outputs):\n"
    "    return [(type(each), each.output_type, {kind: ''.join(of) for kind, of in"
    " each.bundle.items()}) for each in outputs]",
    "joined(ip.history_manager.outputs[3]), joined(ip.history_manager.outputs[4])",
    "{count: joined(ip.history_manager.outputs[count]) for count in ip.history_manager.outputs"
    " if count < 22}",
    "print('more'); 5",
    "joined(ip.history_manager.outputs[31])",
)


@promise("memory.cell")
def test_what_is_kept_of_cells_that_ran_again_is_what_stock_keeps(fresh_pair: Pair) -> None:
    stock, ours = fresh_pair.run(*_CELLS)
    assert [ran.result for ran in ours] == [ran.result for ran in stock]
    stock, ours = fresh_pair.run(*_LOOKS)

    assert [(ran.stdout, ran.result, ran.error) for ran in ours] == [
        (ran.stdout, ran.result, ran.error) for ran in stock
    ]


@promise("memory.cell")
def test_a_source_is_kept_once_and_outputs_as_their_texts(own: Kernel) -> None:
    for _ in range(50):
        for code in ("a = 1", "print('a')", "a + 1"):
            own.run(code)
    ran = own.run(
        "import gc\nfrom IPython.core.history import HistoryOutput\n"
        "kept = get_ipython().history_manager\n"
        "same = {(id(raw), id(plain)) for raw, plain in"
        " zip(kept.input_hist_raw[1:151], kept.input_hist_parsed[1:151])}\n"
        "(len(same), all(raw == plain for raw, plain in same),"
        " [each for each in gc.get_objects() if type(each) is HistoryOutput])"
    )

    assert ran.result == "(3, True, [])"


@promise("memory.cell")
def test_a_traceback_and_the_source_of_an_old_cell_are_found(own: Kernel) -> None:
    own.run("def broken():\n    return 1 / 0  # here")
    for _ in range(300):
        own.run("pass")
    source = own.run("import inspect\ninspect.getsource(broken)")
    failed = own.run("broken()")

    assert source.result == repr("def broken():\n    return 1 / 0  # here\n")
    assert failed.error is not None
    assert "# here" in "".join(failed.error["traceback"])


@promise("memory.cell")
def test_a_reset_forgets_sources_and_outputs(own: Kernel) -> None:
    own.run("'first'")
    own.run("print('second')")
    own.run("%reset -f")
    ran = own.run(
        "kept = get_ipython().history_manager\n"
        "(len(kept.outputs), kept.outputs._packed, len(kept._sources._known))"
    )

    assert ran.result == "(0, {}, 1)"
