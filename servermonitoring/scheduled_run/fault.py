"""Why a run was none that finished and recorded its end."""

import signal
from dataclasses import dataclass

from servermonitoring.completion import Completion
from servermonitoring.scheduled_run.process import Ending

_FINISHED = (0, 1)  # pytest's statuses of a run that finished, whether its checks pass or fail
_CANNOT_START, _TIMED_OUT, _SIGNALLED = 127, 124, 128  # as shells and timeout(1) have them


@dataclass(frozen=True)
class Fault:
    """What went wrong, for people; and what the scheduled command makes of it."""

    text: str
    status: int
    """Exit status of the command."""
    is_alerted: bool = False
    """By the suite itself."""

    @classmethod
    def of(cls, ending: Ending, timeout: float) -> "Fault | None":
        """None for a run that finished and recorded its end."""
        status = ending.status
        if ending.error:
            return cls(f"the run could not be started: {ending.error}", _CANNOT_START)
        if ending.timed_out:
            return cls(f"the run did not end within {timeout:g} s, and was ended", _TIMED_OUT)
        if status < 0:
            return cls(f"the run was killed by {_signal_name(-status)}", _SIGNALLED - status)
        if ending.completion is None:
            text = f"the run ended with exit status {status} before it had recorded anything"
            return cls(text, max(1, status))
        return cls._recorded(ending.completion, status)

    @classmethod
    def _recorded(cls, completion: Completion, status: int) -> "Fault | None":
        if completion.status not in _FINISHED or status not in _FINISHED:
            text = f"the run was cut off with exit status {status}: not all checks were made"
            return cls(text, max(1, status))
        if problems := completion.problems:
            text = f"the run finished, but could not store, show or send all of it: {'; '.join(problems.values())}"
            return cls(text, 1, is_alerted="alerts" not in problems)
        return None

    @property
    def kind(self) -> str:
        """The same for what need not be alerted twice; without what differs from run to run."""
        return f"{self.text.partition(':')[0]} ({self.status})"


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
