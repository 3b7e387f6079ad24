"""The kernel's entry in Jupyter: where its files lie, and putting them elsewhere.

Called by `install`, `lab` and `doctor`.
"""

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from flow_kernel.errors import NotFound, UsageError

NAME: Final = "flow"
DISPLAY_NAME: Final = "Flow (Python 3)"
NAME_OF_PACKAGE: Final = "flow_kernel"
CHECKOUT: Final = Path(__file__).resolve().parents[2]
"""Where the package lies; in a checkout, notebooks and the kernelspec's files lie beside it."""
_FORBIDDEN: Final = "python3"
_FORKS: Final = "flow-kernel-zygote"
_SOCKET_NAME_BYTES: Final = 90  # of 107; jupyter_client adds a number
_SPEC: Final[dict[str, Any]] = {
    "argv": ["python", "-m", "flow_kernel", "-f", "{connection_file}"],
    "display_name": DISPLAY_NAME,
    "language": "python",
    "metadata": {"debugger": True, "supported_encryption": ["curve"]},
    "kernel_protocol_version": "5.5",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An installed kernelspec."""

    name: str
    directory: Path
    argv: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """True when it starts this kernel."""
        return NAME_OF_PACKAGE in self.argv


def find(name: str = NAME) -> Found | None:
    """The kernelspec that Jupyter finds under `name`, or None."""
    try:
        spec = KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        return None
    return Found(name=name, directory=Path(spec.resource_dir), argv=tuple(spec.argv))


def private_transport(folder: Path) -> dict[str, str]:
    """Traits of a kernel manager whose sockets lie in `folder`, where no other user can listen.

    Empty (TCP, as everywhere) where the path is longer than the name of a socket may be.
    """
    place = folder / "s"
    if len(os.fsencode(place)) > _SOCKET_NAME_BYTES:
        return {}
    return {"transport": "ipc", "ip": str(place)}


def install(
    name: str = NAME,
    *,
    display_name: str = DISPLAY_NAME,
    user: bool = False,
    prefix: str | None = None,
    is_forked: bool = False,
) -> Path:
    """Write the kernelspec where Jupyter looks for it.

    Args:
        name: What front ends call it by.
        display_name: What people read.
        user: Put it under the user's Jupyter data directory.
        prefix: Put it under `<prefix>/share/jupyter`, when not for the user.
        is_forked: Name the provisioner that forks kernels; programs that start kernels need this
            package then.

    Returns:
        The directory that was written.

    Raises:
        UsageError: The name belongs to another kernel, or Jupyter forbids it.
        OSError: The place cannot be written.
    """
    if name.lower() == _FORBIDDEN:
        raise UsageError(f'"{name}" is the stock kernel', hint="leave out --name, or take another")
    with tempfile.TemporaryDirectory(prefix="flow-kernelspec-") as draft:
        # A copy, because installing replaces the target, which may be the source.
        spec = dict(_SPEC)
        source = _source()
        if source is not None:
            shutil.copytree(source, draft, dirs_exist_ok=True)
            spec = json.loads((source / "kernel.json").read_text(encoding="utf-8"))
        if user or prefix is None or Path(prefix).resolve() != Path(sys.prefix).resolve():
            # Outside of this environment `python` would be another one.
            spec["argv"] = [sys.executable, *spec["argv"][1:]]
        spec["display_name"] = display_name
        if is_forked:
            spec["metadata"] = {
                **spec["metadata"], "kernel_provisioner": {"provisioner_name": _FORKS},
            }  # fmt: skip
        text = json.dumps(spec, indent=1, ensure_ascii=False) + "\n"
        (Path(draft) / "kernel.json").write_text(text, encoding="utf-8")
        try:
            written = KernelSpecManager().install_kernel_spec(
                draft, kernel_name=name, user=user, prefix=prefix
            )
        except ValueError as error:
            raise UsageError(
                f'"{name}" cannot name a kernel', hint="use letters, digits and . _ -"
            ) from error
    return Path(written)


def uninstall(name: str = NAME) -> Path:
    """Remove the kernelspec that Jupyter finds under `name`.

    Returns:
        The directory that is gone.

    Raises:
        NotFound: There is none.
        UsageError: It starts another kernel than this.
        OSError: It cannot be removed.
    """
    found = find(name)
    if found is None:
        raise NotFound(f'Jupyter knows no kernel "{name}"')
    if not found.is_ours:
        raise UsageError(f'"{name}" in {found.directory} is not a kernel of this package')
    shutil.rmtree(found.directory)
    return found.directory


def _source() -> Path | None:
    """The directory with kernel.json and logos: of a checkout, else of the installed wheel."""
    checkout = CHECKOUT / "kernelspec"
    wheel = Path(sys.prefix) / "share" / "jupyter" / "kernels" / NAME
    for directory in (checkout, wheel):
        if (directory / "kernel.json").is_file():
            return directory
    return None
