"""The redactor, loaded when it is first needed.

Called by the recorder through `RecorderParts`; the kernel warms it up when it has started.

The patterns of known secrets take 20 ms to compile, a tenth of a kernel's start.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


class SecretFilter(Protocol):
    """What the recorder asks of a redactor."""

    @property
    def text(self) -> Callable[[str], tuple[str, int]]:
        """Gives a text without its secrets, and how many there were."""

    @property
    def name_is_secret(self) -> Callable[[str], bool]:
        """Tells whether a variable of a name is likely to hold a secret."""


class DeferredRedactor:
    """A `Redactor` of the environment as it was when this was made."""

    __slots__ = ("_env", "_redactor", "name_is_secret", "text")

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._redactor: SecretFilter | None = None
        # Replaced by the redactor's own once it is there: each text of each cell comes by here.
        self.text: Callable[[str], tuple[str, int]] = lambda text: self.load().text(text)
        self.name_is_secret: Callable[[str], bool] = lambda name: self.load().name_is_secret(name)

    def load(self) -> SecretFilter:
        """Load the redactor now; harmless the second time."""
        if self._redactor is None:
            from flow_kernel.records.redaction import Redactor  # 20 ms, see above

            self._redactor = redactor = Redactor(self._env)
            self.text, self.name_is_secret = redactor.text, redactor.name_is_secret
        return self._redactor
