"""The `watchdog` command, and what goes wrong in words.

It imports little: until `main` has begun, a SIGHUP ends it.
"""

import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # before all else; signals.py listens to it
    from servermonitoring.configuration import ConfigurationError
    from watchdog import commands, log_stream
    from watchdog.arguments import parser
    from watchdog.state_writer import AlreadyRunningError

    options = parser().parse_args(arguments)
    if options.run is not commands.watch:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        log_stream.begin_plainly()
    try:
        return int(options.run(options))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return commands.WRONG_CONFIGURATION
    except AlreadyRunningError as error:
        sys.stderr.write(f"{error}\n")
        return commands.ALREADY_RUNNING
