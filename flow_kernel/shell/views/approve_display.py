"""An answered question as a result: text in a terminal, HTML in a notebook, a truth in code.

Called by `shell.magics.approve_magics`. Everything a person typed is escaped.
"""

from html import escape
from typing import Final

from flow_kernel.session.approval_text import (
    MARKS,
    level_of,
    outcome_of,
    payload_lines,
    title_of,
)
from flow_kernel.store.contract import ApprovalRow

_STYLE: Final = (
    "<style>.flow-approval{font-size:13px;line-height:1.5;max-width:46em}"
    ".flow-approval b{font-weight:600}.flow-approval span{opacity:.7}"
    ".flow-approval i{font-style:normal;padding-right:.5em}"
    ".flow-approval .approved{color:#2a8a5c}.flow-approval .rejected,"
    ".flow-approval .expired{color:#c4472f}</style>"
)


class ApprovalCard:
    """One question with its answer; true when it was approved, `row` holds the values."""

    def __init__(self, row: ApprovalRow) -> None:
        self.row = row

    def __bool__(self) -> bool:
        return self.row.status == "approved"

    def __repr__(self) -> str:
        row = self.row
        lines = [f"{MARKS[row.status]} {title_of(row)}", f"  {outcome_of(row)}"]
        return "\n".join([*lines, *payload_lines(row), f"  {level_of(row)}"])

    def _repr_html_(self) -> str:
        row = self.row
        return (
            f'{_STYLE}<div class="flow-approval"><i class="{escape(row.status)}">'
            f"{MARKS[row.status]}</i><b>{escape(title_of(row))}</b><br>"
            f"{escape(outcome_of(row))}<br><span>{escape(level_of(row))}</span>"
            f"{_payload(row)}</div>"
        )


def _payload(row: ApprovalRow) -> str:
    if row.payload is None:
        return ""
    text = escape("\n".join(payload_lines(row)[1:]))
    return f"<details><summary>payload</summary><pre>{text}</pre></details>"
