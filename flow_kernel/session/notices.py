"""What a session has to say to the person, once, at the next cell (pure).

Called by `session.assembly`; `shell` shows the texts on stderr of the cell.
"""

from collections import deque


class Notices:
    """Texts that are `waiting` to be shown; each is shown once."""

    def __init__(self) -> None:
        self.waiting: deque[str] = deque(maxlen=20)

    def say(self, text: str) -> None:
        """Keep `text` for the next cell."""
        self.waiting.append(text)

    def take(self) -> str:
        """All texts that wait, each on lines of its own; empty when there is none."""
        if not self.waiting:
            return ""
        texts = []
        while self.waiting:
            texts.append(f"flow: {self.waiting.popleft()}\n")
        return "".join(texts)
