"""`%load_ext flow_kernel`: the same record in a stock ipykernel and in terminal IPython.

Called by IPython. After `%unload_ext`, magics, callbacks, hooks, patched attributes, threads and
file descriptors are as they were.
"""

import atexit
import os
from types import SimpleNamespace
from typing import Any

from flow_kernel.settings import Settings
from flow_kernel.shell.isolated.pool_config import pool_settings
from flow_kernel.shell.magic_set import register, remove_completion, unregister
from flow_kernel.shell.opening import open_attachment, settings_of

_KEY = "_flow_extension"


class _Loaded:
    """What the extension did to one shell, and how it is undone."""

    def __init__(self, shell: Any) -> None:
        self.pid = os.getpid()
        self._shell = shell
        self._kernel = getattr(shell, "kernel", None)
        register(shell)  # first, as in the kernel: what stands there then is not the user's
        self.attachment = open_attachment(shell, self._kernel, _settings(shell.config))
        if self._kernel is not None:
            self._patch_kernel(self._kernel)
        atexit.register(self.attachment.session.close)

    def _patch_kernel(self, kernel: Any) -> None:
        attachment = self.attachment
        do_execute, finish_metadata = kernel.do_execute, kernel.finish_metadata

        async def tapped_do_execute(
            code: str, silent: bool, store_history: bool = True, *args: Any, **kwargs: Any
        ) -> Any:
            attachment.note_request(
                code,
                silent=silent,
                store_history=store_history,
                expressions=args[0] if args else kwargs.get("user_expressions"),
            )
            return await do_execute(code, silent, store_history, *args, **kwargs)

        def tapped_finish_metadata(parent: Any, metadata: Any, reply_content: Any) -> Any:
            metadata = finish_metadata(parent, metadata, reply_content)
            facts = attachment.seal(parent, reply_content)
            if facts is not None:
                metadata["flow"] = facts
            return metadata

        kernel.do_execute = tapped_do_execute
        kernel.finish_metadata = tapped_finish_metadata

    def unload(self) -> None:
        """Undo everything, in the opposite order."""
        shell, kernel = self._shell, self._kernel
        atexit.unregister(self.attachment.session.close)
        remove_completion(shell)
        unregister(shell)
        if kernel is not None:
            for name in ("do_execute", "finish_metadata"):
                vars(kernel).pop(name, None)
        self.attachment.detach()
        self.attachment.session.close()


def _settings(config: Any) -> Settings:
    """What the kernel reads as well, from the configuration of this shell."""
    return settings_of(SimpleNamespace(**config.get("FlowKernel", {})), pool_settings(config))


def load_ipython_extension(shell: Any) -> None:
    """Begin to record the cells of `shell`; the Flow kernel does already."""
    kernel = getattr(shell, "kernel", None)
    if getattr(kernel, "attachment", None) is not None or _KEY in vars(shell):
        return
    vars(shell)[_KEY] = _Loaded(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Stop recording and leave `shell` as it was."""
    loaded = vars(shell).get(_KEY)
    if loaded is not None and loaded.pid == os.getpid():  # in a fork nothing of it is at work
        del vars(shell)[_KEY]
        loaded.unload()
