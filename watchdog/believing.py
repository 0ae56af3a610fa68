"""When a browser was last validated, as far as the records can be believed; each trouble is said once."""

import logging
import os

from watchdog import container, directory, records
from watchdog.families import Family

log = logging.getLogger(__name__)
_MOST_SAID = 1000
_BLIND = "validations cannot be read, so only memory is judged: {}"


class Believer:
    """Reads the records for families, and says what is wrong with them."""

    def __init__(self, *, repair: bool) -> None:
        """With `repair` the directory of records is made, or made safe, where that is needed."""
        self._repair = repair
        self._said: set[str] = set()

    def ask(self, family: Family, now: float) -> bool:
        """Take in the family's newest record; false if no record can be believed at all."""
        if not self._repair and not directory.location().exists():
            return True  # whoever only looks does not make it, and there are no records
        descriptor = self._open()
        if descriptor is None:
            return False
        try:
            members = list(family.members.values())
            found = container.newest(records.newest, descriptor, members, family, now)
        except OSError as error:
            self._say(logging.ERROR, _BLIND.format(error))
            return False
        finally:
            os.close(descriptor)
        for trouble in found.troubles:
            self._say(logging.WARNING, trouble)
        family.validated = found.validated
        return True

    def tidy(self) -> None:
        """See that the directory is there and safe, and remove the records of the dead."""
        descriptor = self._open()
        if descriptor is None:
            return
        try:
            records.remove_dead(descriptor)
        except OSError as error:
            self._say(logging.WARNING, f"records of dead processes cannot be removed: {error}")
        finally:
            os.close(descriptor)

    def _open(self) -> int | None:
        try:
            return directory.open_to_believe(repair=self._repair)
        except OSError as error:
            self._say(logging.ERROR, _BLIND.format(error))
            return None

    def _say(self, level: int, message: str) -> None:
        if message not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(message)
            log.log(level, "%s", message)
