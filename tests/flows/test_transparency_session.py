"""Magics, namespaces, history and inspection on a stock kernel and on ours are equal."""

from pathlib import Path
from typing import Final

import pytest

from tests.kernels import FLOW, STOCK, Kernel
from tests.pairs import Pair, effects
from tests.programs import programs
from tests.promises import promise

SESSION: Final = programs("session")


@promise("transparent.session")
@pytest.mark.parametrize("name", SESSION)
def test_a_session_behaves_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*SESSION[name])

    assert effects(flow) == effects(stock)


@promise("transparent.session")
def test_a_configuration_file_is_read_once(tmp_path: Path) -> None:
    profile = tmp_path / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text(
        "c.IPKernelApp.exec_lines.append('ran = globals().get(\\'ran\\', 0) + 1')\n"
        "c.ZMQInteractiveShell.ast_transformers.append(__import__('ast').NodeTransformer())\n"
    )
    looks = "(ran, len(get_ipython().ast_transformers))"

    seen = []
    for name, way in ((STOCK, ""), (FLOW, ""), (FLOW, "%%isolated\n")):
        with Kernel(name, env={"IPYTHONDIR": str(tmp_path)}, is_cold=True) as kernel:
            seen.append(kernel.run(way + looks).result)

    assert seen == ["(1, 1)"] * 3


@promise("transparent.session")
def test_a_kernel_logs_under_the_name_that_is_known_of_ipykernel(pair: Pair) -> None:
    look = "print(get_ipython().kernel.log.name, type(get_ipython().kernel.parent).__name__)"

    assert pair.both(lambda k: k.run(look).stdout) == ("IPKernelApp IPKernelApp\n",) * 2
