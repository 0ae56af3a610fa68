"""How far a client came with a peer: what to say if it is silent, closes or breaks off, at each step."""

import enum
from dataclasses import dataclass

from healthchecks import phase
from healthchecks.clients.addresses import peer_of


class Step(enum.Enum):
    """What a client waits for: the message if nothing comes in time, and the one if the connection ends."""

    RESOLVE = "could not resolve HOST", "cannot resolve HOST"
    CONNECT = "could not connect to PEER", "connection refused at PEER"
    TLS = "connected to PEER, TLS not agreed", "closed the connection before TLS was agreed on at PEER"
    ANSWER = "connected to PEER, no answer", "closed the connection without an answer at PEER"
    GREETING = "connected to PEER, no greeting", "closed the connection without a greeting at PEER"
    HEADERS = "status STATUS came from PEER, the headers did not end", "breaks off in the middle of the headers at PEER"
    BODY = "status STATUS came from PEER, the body did not end", "breaks off in the middle of the body at PEER"
    LOGGED_IN = "logged in to PEER, no answer", "closed the connection after the login at PEER"


@dataclass
class Progress:
    """`progress.at(Step.TLS)` before each step; the timeout of the check then says where it was."""

    host: str
    port: int | str
    step: Step = Step.RESOLVE
    status: int = 0
    """Of HTTP, once it came."""
    via: str = ""
    """The URL that redirected there."""

    def at(self, step: Step, status: int = 0) -> None:
        self.step = step
        self.status = status or self.status
        phase(self.silent)

    @property
    def peer(self) -> str:
        """Host and port for messages, and which URL redirected there."""
        return peer_of(self.host, self.port) + (f" (redirected from {self.via})" if self.via else "")

    @property
    def silent(self) -> str:
        """What did not happen, to be followed by the time: "within 10 s"."""
        return self._filled(self.step.value[0])

    @property
    def closed(self) -> str:
        """What is wrong if the connection ends here, in whichever way."""
        return self._filled(self.step.value[1])

    def _filled(self, text: str) -> str:
        return text.replace("STATUS", str(self.status)).replace("PEER", self.peer).replace("HOST", self.host)
