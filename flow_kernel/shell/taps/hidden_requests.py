"""Requests that are no cells: counted, and looked at for what they bind.

Used by `shell.attach`, told by a kernel of both ends of each request.

Editors look at variables with such requests after each cell, so the session is not another one
because of them. One that binds, replaces or removes a variable makes it so, as a cell would, for
whoever says what they know of it (`expect_rev`). What it changes within a value is not seen.
"""

import threading
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.hidden import HIDDEN
from flow_kernel.session.recorder import Recorder
from flow_kernel.shell.channels.request_marks import actor_of

if TYPE_CHECKING:
    from flow_kernel.session.glance import Glance

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident


class HiddenRequests:
    """Those of one kernel; several threads may run some at a time.

    Args:
        shell: IPython's.
        kernel: Knows the request; None in a terminal.
        recorder: Counts them.
    """

    def __init__(self, shell: Any, kernel: Any, recorder: Recorder) -> None:
        self._shell = shell
        self._kernel = kernel
        self._recorder = recorder
        self._glances: dict[int, Glance] = {}

    def begin(self, code: str) -> None:
        """One begins; `code` is its source."""
        asked = {} if self._kernel is None else self._kernel.get_parent("shell")
        self._recorder.hidden(code, HIDDEN, actor_of(asked.get("metadata")))
        if self._kernel is not None:
            glance = self._recorder.glance(self._shell.user_ns, self._shell.user_ns_hidden)
            if glance is not None:
                self._glances[_get_ident()] = glance

    def end(self) -> None:
        """A request has ended: harmless where it was a cell."""
        glance = self._glances.pop(_get_ident(), None)
        if glance is not None:
            found = glance.end()
            if found.added or found.changed or found.removed:
                self._recorder.changed_unseen()
