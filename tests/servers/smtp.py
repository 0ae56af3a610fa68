"""An SMTP server of our own, which keeps each message: aiosmtpd, with STARTTLS where it has a certificate."""

import contextlib
import mailbox
import shutil
import socket
from email.message import Message
from pathlib import Path

from tests.servers.server import HOST, Server, as_user, free_port, give_to, program, until

USER = "nobody"  # runs it where the tests are run by root


class SmtpServer(Server):
    """`server.messages()` are the messages that it has accepted, whoever they are for."""

    def __init__(self, certificate: Path | None = None) -> None:
        """Offer STARTTLS with this certificate, a PEM file with key and chain; mail is accepted without it, too."""
        self.aiosmtpd = program("aiosmtpd")
        super().__init__()
        self.port = free_port()
        self.certificate = self._own(certificate) if certificate else None
        give_to(USER, self.directory)

    def command(self) -> list[str]:
        keeper = ["--class", "aiosmtpd.handlers.Mailbox", str(self._mail)]
        tls = ["--no-requiretls", "--tlscert", str(self.certificate), "--tlskey", str(self.certificate)]
        return [
            *as_user(USER, "KILL"), self.aiosmtpd, "--nosetuid", "--listen", f"{HOST}:{self.port}",
            *(tls if self.certificate else []), *keeper,
        ]  # fmt: skip

    def await_ready(self) -> None:
        until(self._greets, what="greeting of the SMTP server")

    def messages(self) -> list[Message]:
        """Return the messages that are there, in no particular order."""
        return list(mailbox.Maildir(self._mail)) if self._mail.exists() else []

    def forget(self) -> None:
        """Remove all messages."""
        if self._mail.exists():
            mailbox.Maildir(self._mail).clear()

    @property
    def _mail(self) -> Path:
        return self.directory / "mail"

    def _own(self, certificate: Path) -> Path:
        copy = self.directory / "certificate.pem"
        shutil.copy(certificate, copy)
        give_to(USER, copy)
        return copy

    def _greets(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("the SMTP server ended before it was ready")
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 5) as connection:
            return connection.recv(4) == b"220 "
        return False
