"""How much may be under way at a time, whatever the other side does."""

import resource
from dataclasses import dataclass

_RESERVE = 60  # descriptors that pytest, history, page and the shared libraries need
_MOST = 1024  # 1,000 silent targets in one deadline cost 120 MB; more wait for their turn


@dataclass(frozen=True)
class Limits:
    """`slots` measurements within their deadline at a time; `threads` alive, overdue ones included."""

    slots: int
    threads: int


def limits() -> Limits:
    """From the descriptor limit, which is raised to the hard one first.

    Each hung target holds a descriptor: 200 of them under a limit of 128 gave 85 false failures.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    unlimited = hard == resource.RLIM_INFINITY
    free = max(4, (_MOST * 4 if unlimited else hard) - _RESERVE)
    return Limits(slots=min(_MOST, free), threads=min(_MOST * 2, free))
