"""`jupyter flow install`, `uninstall` and `lab`: the kernelspec comes, works, and goes."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from flow_kernel.apps import kernelspec
from flow_kernel.workers.kernel_provisioner import NAME
from tests.apps.running import Cli
from tests.source import ROOT

_PROVISIONERS: Final = "jupyter_client.kernel_provisioners"


def test_a_prefix_gets_the_kernelspec_with_logos_and_this_python(cli: Cli, tmp_path: Path) -> None:
    done = cli("install", "--prefix", str(tmp_path / "else"))

    target = tmp_path / "else/share/jupyter/kernels/flow"
    assert (done.code, done.out) == (0, f"installed kernel flow in {target}\n")
    shipped = {path.name for path in (ROOT / "kernelspec").iterdir()}
    assert {path.name for path in target.iterdir()} == shipped
    spec = json.loads((target / "kernel.json").read_text(encoding="utf-8"))
    assert spec == {
        "argv": [sys.executable, "-m", "flow_kernel", "-f", "{connection_file}"],
        "display_name": "Flow (Python 3)",
        "language": "python",
        "metadata": {"debugger": True, "supported_encryption": ["curve"]},
        "kernel_protocol_version": "5.5",
    }


def test_kernels_are_forked_where_that_is_asked_for(cli: Cli, tmp_path: Path) -> None:
    assert cli("install", "--prefix", str(tmp_path), "--zygote").code == 0

    spec = json.loads((tmp_path / "share/jupyter/kernels/flow/kernel.json").read_text("utf-8"))
    assert spec["metadata"] == {
        "debugger": True,
        "supported_encryption": ["curve"],
        "kernel_provisioner": {"provisioner_name": NAME},
    }
    assert NAME in {each.name for each in entry_points(group=_PROVISIONERS)}


def test_the_user_can_have_it_under_another_name_and_be_rid_of_it(cli: Cli, tmp_path: Path) -> None:
    installed = cli("install", "--user", "--name", "flow-work", "--display-name", "Flow at work")
    target = tmp_path / "jupyter-data/kernels/flow-work"
    assert (installed.code, target.is_dir()) == (0, True)
    assert KernelSpecManager().get_kernel_spec("flow-work").display_name == "Flow at work"
    assert cli("install", "--user", "--name", "flow-work").code == 0

    removed = cli("uninstall", "--name", "flow-work")

    assert (removed.code, removed.out) == (0, f"removed kernel flow-work from {target}\n")
    assert not target.exists()
    assert cli("uninstall", "--name", "flow-work").code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["install", "--name", "python3"], '"python3" is the stock kernel'),
        (["install", "--name", "Python3", "--user"], '"Python3" is the stock kernel'),
        (["install", "--user", "--name", "a b"], '"a b" cannot name a kernel'),
        (["install", "--user", "--name", "../up"], '"../up" cannot name a kernel'),
        (["uninstall", "--name", "python3"], "is not a kernel of this package"),
        (["uninstall", "--name", "nothing"], 'Jupyter knows no kernel "nothing"'),
        (["install", "--user", "--sys-prefix"], "not allowed with argument"),
    ],
)
def test_foreign_and_forbidden_names_are_refused(
    cli: Cli, arguments: list[str], sentence: str
) -> None:
    done = cli(*arguments)

    assert (done.code, done.err.count("\n")) == (2, 1)
    assert sentence in done.err


def test_a_place_that_cannot_be_written_is_one_sentence(cli: Cli) -> None:
    Path("file").write_text("", encoding="utf-8")

    done = cli("install", "--prefix", "file")

    assert (done.code, done.err.count("\n")) == (1, 1)


def test_the_spec_in_the_code_is_the_one_that_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(kernelspec, "CHECKOUT", tmp_path)

    written = kernelspec.install(prefix=str(tmp_path))

    shipped = json.loads((ROOT / "kernelspec/kernel.json").read_text(encoding="utf-8"))
    assert json.loads((written / "kernel.json").read_text(encoding="utf-8")) == shipped


def test_lab_installs_the_kernel_where_it_is_missing_and_passes_arguments_on(
    tmp_path: Path,
) -> None:
    stand_in = tmp_path / "jupyterlab"
    stand_in.mkdir()
    (stand_in / "__init__.py").write_text("", encoding="utf-8")
    (stand_in / "__main__.py").write_text(
        "import sys; print('lab', *sys.argv[1:])", encoding="utf-8"
    )

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "flow_kernel.apps.cli",
            "lab",
            "--no-browser",
            "--port=1",
            "a.ipynb",
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, b"lab --no-browser --port=1 a.ipynb\n")


def test_without_jupyterlab_the_extra_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_kernel.apps.lab.find_spec", lambda _: None)

    done = cli("lab")

    assert (done.code, done.err) == (
        2,
        'jupyter flow: JupyterLab is not installed; try: pip install "flow_kernel[lab]"\n',
    )
