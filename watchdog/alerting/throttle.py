"""Throttle of alerts: many kills at once become one summary. Pure but for its memory.

The first 20 alerts within ten minutes are sent one by one. Later ones are counted and sent as one summary at the end of
each ten minutes, until a window had fewer than 20.
"""

from collections import Counter

MOST, WINDOW = 20, 600.0  # alerts within so many seconds


class AlertThrottle:
    """Decides which alerts are sent at once (`admits`), and summarizes the others when a window is over (`summary`)."""

    def __init__(self) -> None:
        self._sent_at: list[float] = []
        self._suppressed: Counter[str] = Counter()
        self._until: float | None = None  # the end of the window in which alerts are suppressed

    def admits(self, what: str, now: float) -> bool:
        """Return whether to send this alert at once; otherwise count it as `what` for the summary."""
        if self._until is None:
            self._sent_at = [each for each in self._sent_at if now - each < WINDOW]
            if len(self._sent_at) < MOST:
                self._sent_at.append(now)
                return True
            self._until = now + WINDOW
        self._suppressed[what] += 1
        return False

    def summary(self, now: float) -> str:
        """Return, for example, "30 times killed firefox-esr (firefox: memory)"; empty until a window is over."""
        if self._until is None or now < self._until:
            return ""
        suppressed, self._suppressed = self._suppressed, Counter()
        self._until = now + WINDOW if suppressed.total() >= MOST else None
        return ", ".join(
            f"{count} times {what}" if count > 1 else f"once {what}" for what, count in suppressed.most_common(10)
        )

    def due(self, now: float) -> float | None:
        """Return the seconds until a summary is due; None for never."""
        return None if self._until is None else max(0.0, self._until - now)
