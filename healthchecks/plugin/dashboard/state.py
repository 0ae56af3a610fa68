"""In which state a check is shown: in words, and in what order they matter."""

import enum

from healthchecks.plugin.result import Status


class State(enum.StrEnum):
    """In the order in which the page shows them."""

    FAILED = "failed"
    ERROR = "error"
    BLOCKED = "blocked"
    STALE = "stale"
    NEVER = "never"
    SLOW = "slow"
    OK = "ok"
    SKIPPED = "skipped"

    @property
    def word(self) -> str:
        return _WORDS[self]

    @property
    def is_failure(self) -> bool:
        return self in (State.FAILED, State.ERROR)


_WORDS = {
    State.FAILED: "failing", State.ERROR: "check broken", State.BLOCKED: "blocked", State.STALE: "stale",
    State.NEVER: "never probed", State.SLOW: "slow", State.OK: "well", State.SKIPPED: "skipped",
}  # fmt: skip


def word_of(status: Status) -> str:
    """For one result, as the cards say it."""
    return State(status.value).word
