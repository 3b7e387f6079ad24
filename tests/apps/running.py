"""What the `cli` fixture gives to tests.

Called by `conftest.py` and by tests that read what a verb printed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Lines of stdout."""
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class Cli:
    """Runs verbs."""

    here: Callable[..., Done]
    apart: Callable[..., "subprocess.Popen[bytes]"]

    def __call__(self, *arguments: str) -> Done:
        """Run a verb in this process."""
        return self.here(*arguments)

    def process(self, *arguments: str, **options: Any) -> Done:
        """Run a verb in a process of its own, to its end."""
        with self.apart(*arguments, **options) as process:
            out, err = process.communicate(timeout=30)
        return Done(process.returncode, (out or b"").decode(), (err or b"").decode())
