"""Runs a notebook on the kernel `flow`, as nbclient does it, and says how far it is.

Called by `demo`.
"""

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Any, Final

from traitlets.config import Config

from flow_kernel.apps import kernelspec
from flow_kernel.apps.tables import clip, plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import MissingExtra, UsageError
from flow_kernel.records.home import Home

_CELL_S: Final = 600


class Player:
    """One notebook that is to be run."""

    def __init__(self, notebook: Path, terminal: Terminal) -> None:
        """Read the notebook.

        Raises:
            MissingExtra: nbclient is not installed.
            UsageError: The file is no notebook.
        """
        try:
            import nbclient  # an extra, which only this verb needs
            import nbformat  # it comes with nbclient
        except ImportError as error:
            raise MissingExtra("nbclient", extra="notebook") from error
        self._client_class = _interruptible(nbclient)
        self._errors = nbclient.exceptions
        self._nbformat = nbformat
        self._terminal = terminal
        try:
            self._notebook = nbformat.read(notebook, as_version=4)
        except (ValueError, AttributeError, KeyError) as error:
            raise UsageError(f"{notebook.name} is not a notebook") from error
        self._code_cells = [c for c in self._notebook.cells if c.cell_type == "code"]

    def play(self, *, cwd: Path, home: Home, target: Path) -> str:
        """Run all cells and save the notebook as far as it came.

        Args:
            cwd: Where the kernel works.
            home: Where its records go.
            target: Where the notebook is saved.

        Returns:
            How it failed; empty when it did not.

        Raises:
            KeyboardInterrupt: Ctrl-C; the kernel is gone, the notebook saved.
        """
        self._notebook.metadata["kernelspec"] = {
            "display_name": kernelspec.DISPLAY_NAME,
            "language": "python",
            "name": kernelspec.NAME,
        }
        with tempfile.TemporaryDirectory(prefix="flow-demo-") as folder:
            said = Path(folder, "output.txt")
            client = self._client_class(
                self._notebook,
                timeout=_CELL_S,
                kernel_name=kernelspec.NAME,
                on_cell_execute=self._tell,
                config=Config(KernelManager=kernelspec.private_transport(Path(folder))),
            )
            try:
                self._execute(client, said, cwd=cwd, home=home)
            except self._errors.CellExecutionError as error:
                return f"{error.ename}: {error.evalue}"
            except (asyncio.CancelledError, RuntimeError, TimeoutError) as error:
                # A dead kernel and a cell out of time among them.
                if client.was_interrupted:
                    raise KeyboardInterrupt from None
                last = said.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
                return " ".join([*str(error).strip().splitlines()[:1], *last])
            finally:
                self._clear_line()
                self._nbformat.write(self._notebook, target)
        return ""

    def _execute(self, client: Any, said: Path, *, cwd: Path, home: Home) -> None:
        # What the user set for other sessions must not lead the records elsewhere.
        env = {key: value for key, value in os.environ.items() if not key.startswith("FLOW_")}
        env["FLOW_HOME"] = str(home.root)
        # What the kernel says on its own stderr is not part of the notebook.
        with said.open("wb") as output:
            client.execute(cwd=str(cwd), env=env, stdout=output, stderr=output)

    def _tell(self, *, cell: Any, **_: Any) -> None:
        if not self._terminal.is_tty or not self._code_cells:
            return
        number = next((i for i, c in enumerate(self._code_cells, 1) if c is cell), 0)
        first = next((line for line in cell.source.splitlines() if line.strip()), "")
        text = plain(f"cell {number} of {len(self._code_cells)}  {first}")
        self._terminal.out.write(f"\r{clip(text, self._terminal.columns - 1)}\x1b[K")
        self._terminal.flush()

    def _clear_line(self) -> None:
        if self._terminal.is_tty:
            self._terminal.out.write("\r\x1b[K")


def _interruptible(nbclient: Any) -> Any:
    """The client of nbclient, but Ctrl-C ends the run itself and is remembered.

    Its own handler takes the kernel away below the running cell, which then fails in whatever it
    does.
    """

    class Client(nbclient.NotebookClient):  # type: ignore[misc]  # an extra without types
        was_interrupted = False

        async def async_start_new_kernel(self, **kwargs: Any) -> None:
            task = asyncio.current_task()

            def interrupt() -> None:
                self.was_interrupted = True
                if task is not None:
                    task.cancel()

            try:
                asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
            except (RuntimeError, ValueError):  # not the main thread: nobody interrupts it
                pass
            await super().async_start_new_kernel(**kwargs)

    return Client
