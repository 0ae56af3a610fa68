"""What has become of the deliveries of a spool, for a run's summary."""

from dataclasses import dataclass

from servermonitoring.values import in_words

_WORTH_TELLING = 60.0  # seconds of waiting


@dataclass(frozen=True)
class Tally:
    """Counts are of this process, but for `waiting` and `odd`: what is there now."""

    sent: int = 0
    waiting: int = 0
    refused: int = 0  # put aside in refused/
    dropped: int = 0  # too many, too much or too old
    odd: int = 0  # files in the spool's directory that are none of its own
    error: str = ""  # what last went wrong and still matters, in words, without secrets
    check_in: str = ""  # what went wrong with the last check-in
    oldest: float | None = None  # seconds for which the oldest has waited

    def __str__(self) -> str:
        """As in: 3 sent, 2 waiting (the oldest for 20 min), 1 refused; Sentry answers 502 Bad Gateway."""
        age = (
            f" (the oldest for {in_words(round(self.oldest))})" if self.oldest and self.oldest >= _WORTH_TELLING else ""
        )
        counts = [(self.sent, "sent"), (self.waiting, f"waiting{age}"), (self.refused, "refused")]
        told = [f"{count} {what}" for count, what in [*counts, (self.dropped, "dropped")] if count]
        odd = f"{self.odd} file{'s' if self.odd > 1 else ''} in the spool that it did not write" if self.odd else ""
        return "; ".join(filter(None, [", ".join(told) or "nothing to send", self.error, self.check_in, odd]))
