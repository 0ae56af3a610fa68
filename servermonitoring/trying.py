"""One try to deliver one thing, and what came of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from servermonitoring.answers import Fate, UnansweredError, UnreachableError

if TYPE_CHECKING:
    from servermonitoring.delivery import Delivery
    from servermonitoring.posting import Line
    from servermonitoring.spool import Spool

_TIMEOUT = 10.0  # seconds for each step


@dataclass(frozen=True)
class Outcome:
    """Of one try."""

    fate: Fate
    told: str = ""  # what went wrong, in words
    pause: float = 0.0  # seconds for which the other side wants nothing more
    why: str = ""  # the end of its name in refused/


def try_one(spool: "Spool", line: "Line", delivery: "Delivery") -> Outcome:
    """Read it, send it, and understand the answer."""
    recipient = spool.recipient
    try:
        body, headers = recipient.prepare(spool.read(delivery), delivery.identity)
        answer = line.post(body, headers, _TIMEOUT)
    except FileNotFoundError:
        return Outcome(Fate.SENT)  # somebody removed it
    except OSError as error:
        return Outcome(Fate.LATER, f"{delivery.name} in the spool cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:
        return Outcome(Fate.REFUSED, f"{delivery.name} in the spool is damaged: {error}", why="damaged")
    except UnreachableError as error:
        return Outcome(Fate.CLOSED, f"{recipient.name} cannot be reached: {error}")
    except UnansweredError as error:
        return Outcome(Fate.LATER, f"{recipient.name}: {error}")
    told = "" if answer.fate is Fate.SENT else f"{recipient.name} answers {answer.in_words()}"
    if answer.fate is Fate.CLOSED:
        told += ": are its address and its key right?"
    return Outcome(answer.fate, told, answer.pause(), f"answered-{answer.status}")
