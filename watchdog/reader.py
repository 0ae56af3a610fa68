"""Program that reads arguments and configuration for `watchdog watch`: argparse and tomllib end with it.

`python -m watchdog.reader DESCRIPTOR ARGUMENT…` writes what `handover` describes to the descriptor. What argparse
prints goes where the watchdog's own output goes.
"""

import os
import signal
import sys
from collections.abc import Sequence

from servermonitoring.configuration import ConfigurationError
from watchdog import handover, settings
from watchdog.arguments import parser
from watchdog.handover import OK, WRONG_CONFIGURATION


def main(descriptor: int, arguments: Sequence[str]) -> int:
    signal.alarm(int(handover.LONGEST_READ) + 1)  # ends this process if the watchdog was killed meanwhile
    options = parser().parse_args(arguments)
    try:
        found = settings.load(options.config)
    except ConfigurationError as error:
        text, status = handover.error_as_text(str(error)), WRONG_CONFIGURATION
    else:
        given = handover.WatchOptions(options.poll_interval, options.once, options.dry_run)
        text, status = handover.settings_as_text(given, found), OK
    with os.fdopen(descriptor, "w", encoding="ascii") as pipe:
        pipe.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
