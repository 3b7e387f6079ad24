"""What of a session is saved: the user's variables, and the random numbers to come.

Made by `service`.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

from flow_kernel.records.diff import Visibility
from flow_kernel.session.checkpoints.hidden_state import hidden_state, is_hidden
from flow_kernel.session.checkpoints.sizes import idents


class Variables:
    """The variables of one session, as they are whenever they are asked for.

    Args:
        namespace: Of the session.
        hidden: Those that IPython hides.
    """

    def __init__(self, namespace: Mapping[str, Any], hidden: Mapping[str, object]) -> None:
        self._namespace = namespace
        self._hidden = hidden
        self._moments = count(1)

    def now(self) -> dict[str, object]:
        """Those of the user."""
        visible = Visibility(self._hidden)
        found = dict(self._namespace)
        return {
            name: value
            for name, value in found.items()
            if type(name) is str and visible(name, id(value)) and not name.startswith("__")
        }

    def saved(self) -> dict[str, object]:
        """All that is saved."""
        return self.now() | hidden_state()

    def idents(self, values: Mapping[str, object]) -> dict[str, int]:
        """`id` of each value; states that were made now are told apart by a number of their own."""
        found = idents(values)
        found.update({name: -next(self._moments) for name in found if is_hidden(name)})
        return found
