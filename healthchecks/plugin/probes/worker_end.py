"""What becomes of the jobs of a worker that was killed, or died: who is to blame, and who is probed again."""

import enum
import signal
from dataclasses import dataclass

from healthchecks.plugin.result import CheckError, Unhealthy
from servermonitoring.values import size_in_words


class EndCause(enum.Enum):
    """Why a worker was killed, or that it died."""

    HUNG = enum.auto()
    DESCRIPTORS = enum.auto()
    MEMORY = enum.auto()
    DIED = enum.auto()


@dataclass(frozen=True)
class Fate:
    """What becomes of one job."""

    is_final: bool = False
    """It is not probed again."""
    error: Exception | None = None
    """Its outcome, then; None if its timeout is over."""
    is_alone: bool = False
    """Probed again in a worker of its own, since it may be the one to blame."""
    keeps_end: bool = False
    """Its time goes on: it has computed, while others waited."""


@dataclass(frozen=True)
class WorkerEnd:
    """What is known of a worker that is gone."""

    cause: EndCause
    jobs: int
    """How many of its jobs had started."""
    culprit: int | None
    """The job that used nearly all processor time."""
    overdue: set[int]
    """Jobs whose timeout was over."""

    def fate_of(self, job: int, outcome: Exception, *, has_started: bool) -> Fate:
        """Return what becomes of one of its jobs; `outcome`: of the one to blame."""
        if not has_started:
            return Fate()
        if job in self.overdue:
            return Fate(is_final=True)
        if self.cause in (EndCause.DIED, EndCause.DESCRIPTORS):
            is_known = self.cause is EndCause.DIED and self.jobs == 1
            return Fate(is_final=True, error=outcome) if is_known else Fate(is_alone=True)
        if self.cause is EndCause.MEMORY:
            return Fate(is_final=True, error=outcome) if job == self.culprit else Fate(is_alone=self.culprit is None)
        if job == self.culprit:
            return Fate(is_alone=True, keeps_end=True)
        return Fate(is_alone=self.culprit is None)


def outcome_of_death(name: str, cause: EndCause, status: int | None, memory: int, output: str) -> Exception:
    """Return the outcome of the probe that a worker died of. `status`: as subprocess has it; None if unknown."""
    if cause is EndCause.MEMORY:
        return out_of_memory(memory)
    message = f"the process of {name} {_how_it_ended(status)}"
    return CheckError(message, f"{message}\n{output}".rstrip())


def out_of_memory(memory: int) -> Unhealthy:
    """Return the failure of a probe that used more than these bytes."""
    return Unhealthy(f"used more than {size_in_words(memory)} of memory")


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with status {status}"
    memory = ", perhaps for lack of memory" if -status == signal.SIGKILL else ""
    return f"was killed by {_signal_name(-status)}{memory}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
