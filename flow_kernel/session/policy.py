"""Which cells need an answer before they run (pure).

Called by `shell.taps.gate` at each cell, and by `shell.opening` when the settings are read.

    auto < confirm_if_risky < always

The setting says how strict a session is; its environment and the metadata of a cell may make it
stricter and never laxer. What nobody understands there is the strictest.
"""

from typing import TYPE_CHECKING, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

if TYPE_CHECKING:
    from flow_kernel.session.risk import Finding

globals()["__builtins__"] = FROZEN_BUILTINS

POLICIES: Final = ("auto", "confirm_if_risky", "always")
_SHOWN: Final = 6


def tightest(*asked: object) -> str:
    """The strictest of these; None asks for nothing."""
    given = [policy for policy in asked if policy is not None]
    return POLICIES[max(map(_strictness, given), default=0)]


def of_metadata(metadata: object) -> object:
    """What the metadata of a cell asks for under `flow: {approve: …}`; None when it does not."""
    flow = metadata.get("flow") if type(metadata) is dict else None
    return flow.get("approve") if type(flow) is dict else None


def asks(policy: str, findings: "list[Finding]") -> bool:
    """True when a cell in which a scan found these needs an answer first."""
    return policy == "always" or (policy != "auto" and bool(findings))


def message_of(findings: "list[Finding]") -> str:
    """The question: `run a risky cell: deletes files (line 3), uses the shell (line 5)`."""
    if not findings:
        return "run a cell"
    return f"run a risky cell: {reasons_of(findings)}"


def reasons_of(findings: "list[Finding]") -> str:
    """`deletes files (line 3), …`, each kind with the lines where it was found."""
    lines: dict[str, list[int]] = {}
    for finding in findings:
        known = lines.setdefault(finding.kind.value, [])
        if finding.line not in known:
            known.append(finding.line)
    return ", ".join(f"{kind} ({_places(found)})" for kind, found in lines.items())


def _places(lines: list[int]) -> str:
    shown = ", ".join(map(str, sorted(lines)[:_SHOWN]))
    more = ", …" if len(lines) > _SHOWN else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"


def _strictness(policy: object) -> int:
    return POLICIES.index(policy) if policy in POLICIES else len(POLICIES) - 1
