"""A channel that is given documents: its spool, its outbox, and what it is sent by."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring.delivery.outbox import Outbox
from servermonitoring.delivery.spool import Spool, SpoolEntry, Tally
from servermonitoring.scrubbing import scrubbed

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import Destination


class DocumentService:
    """A destination for the documents of alerts (docs/alerts.md shows one), and its spool."""

    def __init__(self, destination: "Destination", directory: Path) -> None:
        self.destination = destination
        self.spool = Spool(directory)
        self.outbox = Outbox(self.spool, destination)

    def post(self, document: dict[str, Any], key: str = "") -> SpoolEntry | None:
        """Put a document into the spool; return its entry, or None if it cannot be created.

        Those of one key arrive in the order in which they were posted.
        """
        entry = None
        try:
            entry = self.spool.put(json.dumps(scrubbed(document)).encode(), key)
        except (TypeError, ValueError, RecursionError) as error:
            self.spool.note(f"a document for {self.destination.name} could not be created: {error}", dropped=1)
        self.outbox.wake()
        return entry

    def start(self) -> None:
        """Deliver in the background from now on."""
        self.outbox.start()

    def finish(self, budget: float) -> Tally:
        """Deliver what waits, in `budget` seconds at most, and stop."""
        return self.outbox.finish(budget)

    def tally(self) -> Tally:
        """Return the delivery counts."""
        return self.spool.tally()
