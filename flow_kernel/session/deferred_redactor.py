"""The redactor, loaded when it is first needed.

Called by the recorder through `RecorderParts`; the kernel warms it up when it has started.

The patterns of known secrets take 20 ms to compile, a tenth of a kernel's start.
"""

from collections.abc import Mapping
from typing import Protocol

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


class SecretFilter(Protocol):
    """What the recorder asks of a redactor."""

    def text(self, text: str) -> tuple[str, int]:
        """`text` without its secrets, and how many there were."""

    def name_is_secret(self, name: str) -> bool:
        """True when a variable of that name is likely to hold a secret."""


class DeferredRedactor:
    """A `Redactor` of the environment as it was when this was made."""

    __slots__ = ("_env", "_redactor")

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._redactor: SecretFilter | None = None

    def text(self, text: str) -> tuple[str, int]:
        """`text` without its secrets, and how many there were."""
        return (self._redactor or self.load()).text(text)

    def name_is_secret(self, name: str) -> bool:
        """True when a variable of that name is likely to hold a secret."""
        return (self._redactor or self.load()).name_is_secret(name)

    def load(self) -> SecretFilter:
        """Load the redactor now; harmless the second time."""
        if self._redactor is None:
            from flow_kernel.records.redaction import Redactor  # 20 ms, see above

            self._redactor = Redactor(self._env)
        return self._redactor
