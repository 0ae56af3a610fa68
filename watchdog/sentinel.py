"""A file of the watchdog's own among the records: when it is gone, so are records that nobody has read yet."""

import logging
import os

from watchdog import directory, processes, retention

log = logging.getLogger(__name__)


class Sentinel:
    """Nobody can take its name beforehand, and it is removed like a record once this process has ended."""

    def __init__(self) -> None:
        self._name = ""

    def lay(self) -> None:
        """Make it, if it is not there. Raise OSError."""
        if self._name:
            return
        content = f"0.00\nthe watchdog's own{retention.mark()}\n".encode()
        with directory.opened() as descriptor:
            self._name = directory.write_beside(descriptor, processes.own_identity(), content)

    def is_lost(self) -> bool:
        """Return whether it was removed since it was laid. Raise OSError."""
        if not self._name:
            return False
        try:
            with directory.opened() as descriptor:
                os.stat(self._name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            log.warning("validation records were removed from %s: validations are awaited anew", directory.location())
            self._name = ""
            return True
        return False
