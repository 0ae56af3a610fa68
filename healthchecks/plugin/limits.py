"""How much may be under way at a time, whatever the other side does."""

import resource
from dataclasses import dataclass

_RESERVE = 60  # descriptors that pytest, history, page and the shared libraries need
_MOST = 1024  # 1,000 silent targets in one timeout cost 120 MB; more wait for their turn
_MOST_DESCRIPTORS = 16_384  # a leak to the limit costs the kernel 256 bytes and more for each
_STEP, _STEPS = 64, 4  # descriptors that a lift gives, and how many lifts are possible


@dataclass(frozen=True)
class Limits:
    """`slots` probes within their timeout at a time; `threads` alive, overdue ones included."""

    slots: int
    threads: int


def limits() -> Limits:
    """From the descriptor limit, which is first raised nearly to the hard one.

    Each hung target holds a descriptor: 200 of them under a limit of 128 gave 85 false failures. What is left up to
    the hard limit is for what comes after a check that leaks them: `lift`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_MOST_DESCRIPTORS, hard)
    soft = most - min(_STEP * _STEPS, most // 4)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    free = max(4, soft - _RESERVE)
    return Limits(slots=min(_MOST, free), threads=min(_MOST * 2, free))


def lift(*, last: bool = False) -> None:
    """Give some more descriptors, when a check has used up all there were; `last`: all, for the end of the run."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if last and hard != resource.RLIM_INFINITY:
        more = hard
    else:
        more = soft + _STEP if hard == resource.RLIM_INFINITY else min(soft + _STEP, hard - _STEP)
    if soft < more:
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
