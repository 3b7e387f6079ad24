"""What other programs may rely on: names, errors, import cost, and what the wheel ships."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from typing import Any, Final
from zipfile import ZipFile

import pytest

import flow_kernel
from flow_kernel import errors
from tests.source import ROOT

PUBLIC: Final = [
    "__version__",
    "auto_context",
    "current_session",
    "load_ipython_extension",
    "open_flow",
    "sandbox",
    "unload_ipython_extension",
]
BASE_DEPENDENCIES: Final = ["ipykernel>=7.4", "jupyter_client", "traitlets", "orjson", "psutil"]
SHARED: Final = "data/share/jupyter"
SHIPPED: Final = {
    f"{SHARED}/kernels/flow/kernel.json",
    f"{SHARED}/kernels/flow/logo-32x32.png",
    f"{SHARED}/kernels/flow/logo-64x64.png",
    f"{SHARED}/kernels/flow/logo-svg.svg",
    f"{SHARED}/flow/notebooks/checkpoints.ipynb",
    f"{SHARED}/flow/notebooks/isolated.ipynb",
    f"{SHARED}/flow/notebooks/data/README.md",
    f"{SHARED}/flow/notebooks/data/co2-mauna-loa-weekly.csv",
    f"{SHARED}/flow/notebooks/tour.ipynb",
    f"{SHARED}/flow/notebooks/workflow.ipynb",
    f"{SHARED}/flow/notebooks/workflows.ipynb",
    f"{SHARED}/flow/notebooks/workflows/co2/co2.toml",
    f"{SHARED}/flow/notebooks/workflows/co2/common.py",
    f"{SHARED}/flow/notebooks/workflows/co2/fit.py",
    f"{SHARED}/flow/notebooks/workflows/etl/etl.toml",
    f"{SHARED}/flow/notebooks/workflows/etl/fetch.py",
    f"{SHARED}/flow/notebooks/workflows/etl/process.py",
    f"{SHARED}/labextensions/flow-kernel/package.json",
    f"{SHARED}/labextensions/flow-kernel/static/remoteEntry.js",
    "data/etc/jupyter/jupyter_server_config.d/flow_kernel.json",
    "flow_kernel/py.typed",
}


def test_the_public_names_are_these_and_all_of_them_load() -> None:
    assert flow_kernel.__all__ == PUBLIC
    assert [name for name in PUBLIC if getattr(flow_kernel, name, None) is None] == []
    assert set(PUBLIC) <= set(dir(flow_kernel))


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        flow_kernel.nothing_of_the_kind  # noqa: B018 - reading the attribute is the test


def test_importing_the_package_loads_neither_the_kernel_nor_its_stack() -> None:
    program = "import sys, flow_kernel; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.decode().split()}

    assert loaded & {"IPython", "ipykernel", "jupyter_client", "traitlets", "zmq"} == set()


def test_the_tree_of_errors_shows_every_error_with_its_parents_and_exit_code() -> None:
    drawn = {
        (name, parent or "Exception", int(code))
        for name, parent, code in re.findall(
            r"^ *[├└│─ ]*(\w+)(?: \((\w+)\))? +(?:exit code )?(\d)\b", errors.__doc__ or "", re.M
        )
    }
    real = {
        (cls.__name__, cls.__bases__[-1].__name__.replace("FlowError", "Exception"), cls.exit_code)
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.FlowError)
    }

    assert drawn == real


def test_the_base_dependencies_are_exactly_these() -> None:
    assert _pyproject()["project"]["dependencies"] == BASE_DEPENDENCIES


def test_the_wheel_ships_the_kernelspec_the_logos_the_notebooks_and_py_typed(
    wheel: ZipFile,
) -> None:
    names = {_without_data_folder(name) for name in wheel.namelist()}

    assert sorted(SHIPPED - names) == []
    assert sorted(n for n in names if n.startswith(SHARED)) == sorted(
        n for n in SHIPPED if n.startswith(SHARED)
    )


def test_the_wheel_holds_every_module_and_nothing_but_the_package(wheel: ZipFile) -> None:
    package = ROOT / "flow_kernel"
    modules = {
        str(p.relative_to(ROOT))
        for kind in ("py", "sql", "json", "mjs")
        for p in package.rglob(f"*.{kind}")
    }
    files = {
        n for n in wheel.namelist() if not re.match(r"flow_kernel-[^/]+\.(data|dist-info)/", n)
    }

    web = package / "apps" / "server" / "web"
    pages = {str(p.relative_to(ROOT)) for p in web.rglob("*") if p.is_file()}

    assert files == modules | {"flow_kernel/py.typed"} | pages


def test_the_wheel_asks_for_the_base_dependencies_alone_unless_extras_are_named(
    wheel: ZipFile,
) -> None:
    asked = [r for r in _metadata(wheel).get_all("Requires-Dist", []) if "extra ==" not in r]

    assert sorted(_plain(r) for r in asked) == sorted(_plain(r) for r in BASE_DEPENDENCIES)


def test_the_kernelspec_in_the_wheel_starts_this_kernel_under_its_own_name(wheel: ZipFile) -> None:
    (path,) = (n for n in wheel.namelist() if n.endswith("kernels/flow/kernel.json"))

    assert json.loads(wheel.read(path)) == {
        "argv": ["python", "-m", "flow_kernel", "-f", "{connection_file}"],
        "display_name": "Flow (Python 3)",
        "language": "python",
        "metadata": {"debugger": True, "supported_encryption": ["curve"]},
        "kernel_protocol_version": "5.5",
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel as the project's own build backend makes it."""
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (path,) = folder.glob("*.whl")
    with ZipFile(path) as file:
        yield file


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _without_data_folder(name: str) -> str:
    return re.sub(r"^flow_kernel-[^/]+\.data/", "", name)


def _metadata(wheel: ZipFile) -> Message:
    (path,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(path).decode("utf-8"))


def _plain(requirement: str) -> str:
    """A requirement in lower case with dashes, as names are compared."""
    return requirement.replace(" ", "").lower().replace("_", "-")
