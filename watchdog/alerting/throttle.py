"""Keeps a storm of kills from becoming a storm of alerts. Pure but for its memory.

The first 20 within ten minutes are told one by one; what comes after them is counted, and told in one summary at
the end of each ten minutes, until ten minutes had fewer than 20.
"""

from collections import Counter

MOST, WINDOW = 20, 600.0  # alerts within so many seconds


class Storm:
    """`admits` says whether an alert is told by itself; `summary` what was held back, once a window is over."""

    def __init__(self) -> None:
        self._told: list[float] = []
        self._held: Counter[str] = Counter()
        self._until: float | None = None  # the end of the window in which alerts are held back

    def admits(self, what: str, now: float) -> bool:
        """Whether to tell this at once; `what` it is in a summary."""
        if self._until is None:
            self._told = [each for each in self._told if now - each < WINDOW]
            if len(self._told) < MOST:
                self._told.append(now)
                return True
            self._until = now + WINDOW
        self._held[what] += 1
        return False

    def summary(self, now: float) -> str:
        """What was held back, as in "30 times killed firefox-esr (firefox: memory)"; empty until a window is over."""
        if self._until is None or now < self._until:
            return ""
        held, self._held = self._held, Counter()
        self._until = now + WINDOW if held.total() >= MOST else None
        return ", ".join(
            f"{count} times {what}" if count > 1 else f"once {what}" for what, count in held.most_common(10)
        )

    def due(self, now: float) -> float | None:
        """Seconds until there may be a summary; None for never."""
        return None if self._until is None else max(0.0, self._until - now)
