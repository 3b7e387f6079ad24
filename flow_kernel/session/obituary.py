"""What the next kernel says of a death (pure).

Called by `session.assembly` with the deaths that `session.deaths` found.
"""

from typing import Final

from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.session.deaths import Death

_REASONS: Final = {
    "segfault": "segmentation fault",
    "oom_kernel": "out of memory (killed by the operating system)",
    "killed": "killed from outside, or os._exit",
    "lost": "the machine was restarted",
}


def tell_death(death: Death) -> str:
    """The sentences that the next kernel shows for `death`."""
    who = f" of {one_line(death.lease.notebook, 60)}" if death.lease.notebook else ""
    lines = []
    if death.running is not None:
        count = death.running.get("execution_count")
        label = f"[{count}] " if count is not None else ""
        code = one_line(str(death.running.get("code", "")), 70)
        lines.append(f"the last kernel{who} died in cell {label}{code}")
    else:
        lines.append(f"the last kernel{who} died while it was idle")
    reason = _REASONS.get(death.reason, death.reason)
    lines.append(f"      reason: {'abort (SIGABRT)' if death.signal == 6 else reason}")
    if death.words.peak_rss_bytes:
        lines[-1] += f" · peak memory {human_bytes(death.words.peak_rss_bytes)}"
    last = death.words.output.rstrip().rpartition("\n")[2]
    if last:
        lines.append(f"      last output: {one_line(last, 70)}")
    lines.append('      everything until then is recorded: try "jupyter flow log"')
    return "\n".join(lines)


def death_event(death: Death) -> dict[str, str | int | None]:
    """What an agent is told of `death`; `of` is the session that ended."""
    cell = death.running.get("execution_count") if death.running else None
    return {
        "of": death.lease.session,
        "reason": death.reason,
        "signal": death.signal,
        "last_seq": death.last_seq,
        "cell": cell if type(cell) is int else None,
    }
