"""A kernel that starts in a short time is the one that stock ipykernel would have been."""

from typing import Final

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.promises import promise

_COLLECTOR: Final = "import gc; gc.isenabled(), gc.get_freeze_count(), gc.get_threshold()"
_CLIENT: Final = (
    "import jupyter_client.manager\n"
    "jupyter_client.KernelManager is jupyter_client.manager.KernelManager, type(jupyter_client)"
)
_DATES: Final = (
    "sent = get_ipython().kernel.get_parent()['header']['date']\n"
    "import datetime; type(sent), sent.utcoffset(), sent.isoformat()[-6:]"
)


@promise("transparent.process")
def test_the_first_cell_finds_the_process_as_in_stock_ipykernel(fresh_pair: Pair) -> None:
    for code in (_COLLECTOR, _CLIENT, _DATES):
        stock, flow = fresh_pair.both(lambda kernel, code=code: kernel.run(code))

        assert flow.effects() == stock.effects(), code


@promise("start.lean")
def test_what_only_clients_need_is_not_loaded_before_the_first_answer() -> None:
    with Kernel(is_cold=True) as kernel:
        ran = kernel.run(
            "import sys; [name for name in ('psutil', 'dateutil', 'debugpy', 'curses')"
            " if name in sys.modules]"
        )

    assert ran.result == "[]"
    assert ran.metadata["flow"]["added_imports"] == []


@promise("start.lean")
def test_a_module_that_stock_ipykernel_has_loaded_is_no_import_of_a_cell() -> None:
    with Kernel(is_cold=True) as kernel:
        ran = kernel.run("import dateutil.parser, decimal, email.message, zipfile, jupyter_client")
        other = kernel.run("import email.mime.audio")

    assert ran.metadata["flow"]["added_imports"] == []
    assert "email.mime.audio" in other.metadata["flow"]["added_imports"]


@promise("start.lean")
def test_what_pyzmq_loads_for_a_large_message_is_no_import_of_a_cell() -> None:
    with Kernel(is_cold=True) as kernel:
        loaded = "import sys; 'zmq.utils.garbage' in sys.modules"
        assert kernel.run(loaded).result == "False"
        ran = kernel.run(
            "from IPython.display import display\ndisplay({'text/plain': 'x' * 300_000}, raw=True)"
        )
        assert kernel.run(loaded).result == "True"

    assert ran.metadata["flow"]["added_imports"] == []
