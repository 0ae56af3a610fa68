"""Dovecot: an IMAP and POP3 server of our own, in a directory of its own and with a certificate."""

import contextlib
import grp
import os
import pwd
import signal
import socket
import string
from pathlib import Path
from typing import ClassVar

from tests.servers.server import HOST, Server, as_user, free_port, give_to, program, until

USER = "dovecot"  # runs it where the tests are run by root
CONFIGURATION = string.Template("""
protocols = imap pop3
listen = $host
base_dir = $home/run
state_dir = $home/state
log_path = /dev/stderr
default_internal_user = $user
default_internal_group = $group
default_login_user = $user
ssl = $tls
ssl_cert = <$home/certificate.pem
ssl_key = <$home/certificate.pem
service imap-login {
  chroot =
  inet_listener imap {
    port = $imap
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = $pop3
  }
  inet_listener pop3s {
    port = 0
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = home=$home/mail
}
""")


class Dovecot(Server):
    """`server.imap` and `server.pop3` are its ports; both offer STARTTLS, unless `tls` is false."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, certificate: Path, *, tls: bool = True) -> None:
        self.dovecot = program("dovecot")
        program("pop3-login", Path("/usr/lib/dovecot"))
        super().__init__()
        self.imap, self.pop3 = free_port(), free_port()
        self._write("certificate.pem", certificate.read_text())
        self._write("dovecot.conf", self._configuration("yes" if tls else "no"))
        give_to(USER, self.directory)

    def command(self) -> list[str]:
        return [*as_user(USER, "TERM"), self.dovecot, "-F", "-c", str(self.directory / "dovecot.conf")]

    def await_ready(self) -> None:
        until(lambda: self._greets(self.imap, b"* OK") and self._greets(self.pop3, b"+OK "), what="greeting of Dovecot")

    def _configuration(self, tls: str) -> str:
        user = pwd.getpwnam(USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        return CONFIGURATION.substitute(
            host=HOST, home=self.directory, user=user.pw_name, group=grp.getgrgid(user.pw_gid).gr_name, tls=tls,
            imap=self.imap, pop3=self.pop3,
        )  # fmt: skip

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        give_to(USER, path)

    def _greets(self, port: int, greeting: bytes) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("Dovecot ended before it was ready")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 5) as connection:
            return connection.recv(4) == greeting
        return False
