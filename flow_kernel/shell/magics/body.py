"""What magics have in common: the body of a cell magic as a cell of its own, quoted messages.

Called by `shell.magics.approve_magics`, `shell.magics.task_magics`, `shell.magics.task_answers` and
in workers.
"""

from typing import Any, Final

APPROVED_FAILED: Final = "the approved cell failed"
"""What is shown of the error of a body that a person has approved."""


def run_body(shell: Any, source: str, *, failure: str) -> None:
    """Run `source` in `shell`; what it raises fails the outer cell as well.

    Args:
        shell: IPython's.
        source: What stands below the line of the magic.
        failure: What is shown of the error at the end, because IPython has shown it in full.

    Raises:
        BaseException: What the body raised.
    """
    result = shell.run_cell(source, store_history=False)
    if result.success:
        return
    error = result.error_before_exec or result.error_in_exec
    name = type(error).__name__
    try:
        error._render_traceback_ = lambda: [f"{failure}: {name}"]  # IPython's protocol
    except AttributeError:  # a class with slots: it is shown twice
        pass
    raise error


def unquoted(text: str) -> str:
    """A message without the quotes around the whole of it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
