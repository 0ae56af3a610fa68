"""One try to deliver one thing, and what came of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from servermonitoring.answers import Fate, UnansweredError, UnreachableError

if TYPE_CHECKING:
    from servermonitoring.answers import Answer
    from servermonitoring.delivery import Delivery
    from servermonitoring.posting import Line
    from servermonitoring.spool import Recipient, Spool

_TIMEOUT = 10.0  # seconds for each step


@dataclass(frozen=True)
class Outcome:
    """Of one try."""

    fate: Fate
    told: str = ""  # what went wrong, in words
    pause: float = 0.0  # seconds for which the other side wants nothing more
    why: str = ""  # the end of its name in refused/
    reason: str = ""  # the status of the answer, and its first words


def try_one(spool: "Spool", line: "Line", delivery: "Delivery") -> Outcome:
    """Read it, send it, and understand the answer."""
    recipient = spool.recipient
    try:
        content = spool.read(delivery)
        body, headers = recipient.prepare(content, delivery.identity)
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
    return _understood(recipient, content, answer)


def _understood(recipient: "Recipient", content: bytes, answer: "Answer") -> Outcome:
    fate, told = answer.fate, f"{recipient.name} answers {answer.in_words()}"
    if fate is Fate.SENT:
        if recipient.has_taken(content, answer):
            return Outcome(fate, pause=answer.pause())
        told += f" without saying that it took the alert: is it {recipient.name} at all?"
        return Outcome(Fate.LATER, told)
    if fate is Fate.CLOSED:
        told += ": are its address and its key right?"
    reason = f"answers {answer.in_words()}{answer.first_words()}"
    return Outcome(fate, told, answer.pause(), f"answered-{answer.status}", reason)
