"""What a session has to say to the person, once, at the next cell (pure).

Called by `session.assembly`; `shell` shows the texts on stderr of the cell.
"""

from collections import deque
from typing import Final

from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.session.deaths import Death

_REASONS: Final = {
    "segfault": "segmentation fault",
    "oom_kernel": "out of memory (killed by the operating system)",
    "killed": "killed from outside, or os._exit",
    "lost": "the machine was restarted",
}


class Notices:
    """Texts that wait to be shown; each is shown once."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=20)

    def say(self, text: str) -> None:
        """Keep `text` for the next cell."""
        self._waiting.append(text)

    def take(self) -> str:
        """All texts that wait, each on lines of its own; empty when there is none."""
        if not self._waiting:
            return ""
        texts = []
        while self._waiting:
            texts.append(f"flow: {self._waiting.popleft()}\n")
        return "".join(texts)


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
