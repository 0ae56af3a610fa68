"""A RabbitMQ of our own: own node, own epmd, own cookie; with the management API as its only plugin."""

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote

import pika

from tests.servers.server import HOST, Server, as_user, free_port, give_to, is_free, program, until

USER_NAME = "rabbitmq"  # runs it where the tests are run by root
SCRIPTS = Path("/usr/lib/rabbitmq/bin")  # without Debian's wrapper, which changes directory and user


@dataclass(frozen=True)
class User:
    name: str
    password: str
    configure: str  # a regular expression: the queues it may declare


ADMIN = User("admin", "of the tests", ".*")
MONITOR = User("monitor", "p@ss w:rd/50%", "^(monitoring|amq\\.gen).*")  # its own private queues only


class Epmd(Server):
    """Erlang's register of nodes, in the foreground: RabbitMQ's own would leave its family, and stay."""

    def __init__(self, user: str) -> None:
        self.epmd, self.user = program("epmd"), user
        super().__init__()
        self.port = free_port()

    def command(self) -> list[str]:
        return [*as_user(self.user, "KILL"), self.epmd, "-port", str(self.port), "-address", HOST]

    def await_ready(self) -> None:
        until(lambda: not is_free(self.port), what="epmd")


class RabbitMQ(Server):
    """`rabbitmq.url(MONITOR)` is for a check; `.queue(…)` and `.alarm()` are for its test."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self) -> None:
        self.server = program("rabbitmq-server", SCRIPTS)
        self.control = program("rabbitmqctl", SCRIPTS)
        self.caller = program("erl_call")
        super().__init__()
        self.epmd = Epmd(USER_NAME)
        self.port, self.distribution_port, self.management_port = free_port(), free_port(), free_port()
        self.node = f"test{self.port}@localhost"
        self._configure()

    @property
    def management(self) -> str:
        return f"http://{HOST}:{self.management_port}"

    def url(self, user: User = MONITOR, vhost: str = "/") -> str:
        login = f"{user.name}:{quote(user.password, safe='')}"
        return f"amqp://{login}@{HOST}:{self.port}/{quote(vhost, safe='')}"

    def connect(self, user: User = ADMIN) -> pika.BlockingConnection:
        """A connection. The caller closes it; it ends by itself a second after an alarm blocks it."""
        parameters = pika.URLParameters(self.url(user))
        parameters.blocked_connection_timeout = 1
        return pika.BlockingConnection(parameters)

    @contextlib.contextmanager
    def queue(self, name: str, *, messages: int = 0, consumers: int = 0) -> Iterator[str]:
        """A durable queue with so many messages waiting, and consumers that take none; gone at the end."""
        with contextlib.closing(self.connect()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare(name, durable=True)
            for number in range(messages):
                channel.basic_publish("", name, str(number).encode())
            for _ in range(consumers):
                self._consume_nothing(connection, name)
            yield name
            channel.queue_delete(name)

    def waiting(self, name: str) -> int:
        """How many messages wait in a queue."""
        with contextlib.closing(self.connect()) as connection:
            return connection.channel().queue_declare(name, passive=True).method.message_count

    @contextlib.contextmanager
    def alarm(self) -> Iterator[None]:
        """Out of memory, by its own account: publishers are blocked until the end of this block."""
        self._evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0)")
        try:
            yield
        finally:
            self._evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.6)")

    def set_disk_limit(self, limit: str) -> None:
        self._evaluate(f"rabbit_disk_monitor:set_disk_free_limit({json.dumps(limit)})")

    def names(self, kind: str) -> set[str]:
        """Names of all that is a "queue" or an "exchange"."""
        module = {"queue": "rabbit_amqqueue", "exchange": "rabbit_exchange"}[kind]
        words = f"[binary_to_list(element(4, Name)) || Name <- {module}:list_names()]"
        return set(self._evaluate(f'"[" ++ lists:append(lists:join(" ", {words})) ++ "]"').strip('"[]').split())

    def permit(self, user: User, configure: str, write: str, read: str) -> None:
        rights = ", ".join(f"<<{json.dumps(each)}>>" for each in (user.name, "/", configure, write, read, "tests"))
        self._evaluate(f"rabbit_auth_backend_internal:set_permissions({rights})")

    def tag(self, user: User, *tags: str) -> None:
        self._evaluate(f'rabbit_auth_backend_internal:set_tags(<<"{user.name}">>, [{", ".join(tags)}], <<"tests">>)')

    def _evaluate(self, expression: str) -> str:
        """Return the value of an Erlang expression in the node; rabbitmqctl takes a second for it."""
        command = [self.caller, "-c", self._cookie, "-sname", self.node, "-e"]
        done = subprocess.run(
            command, input=f"{expression}.\n", env=self.environment(), capture_output=True, text=True, timeout=300,
            check=True,
        )  # fmt: skip
        value = re.fullmatch(r"\{ok, (.*)\}\s*", done.stdout, re.DOTALL)
        if value is None:
            raise RuntimeError(f"{expression}: {done.stdout}{done.stderr}")
        return value[1]

    def ctl(self, *words: str) -> str:
        """Run rabbitmqctl; takes a second or two, on a machine at five times its load more than a minute."""
        command = [*as_user(USER_NAME, "KILL"), self.control, "--quiet", "--node", self.node, *words]
        environment = self.environment()
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        return done.stdout

    def command(self) -> list[str]:
        return [*as_user(USER_NAME, "KILL"), self.server]

    def environment(self) -> dict[str, str]:
        listen = "-kernel inet_dist_use_interface {127,0,0,1}"
        return os.environ | {
            "HOME": str(self.directory),  # where the cookie is
            "ERL_EPMD_PORT": str(self.epmd.port),
            "ERL_EPMD_ADDRESS": HOST,
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+S 2:2 +sbwt none -start_epmd false {listen}",
            "RABBITMQ_CTL_ERL_ARGS": "-start_epmd false",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script gives way to the server: its process id is ours
        }

    @property
    def log(self) -> str:
        logs = sorted((self.directory / "logs").glob("*.log"))
        return super().log + "".join(path.read_text(errors="replace") for path in logs)

    def start(self) -> Self:
        if self.epmd.process is None:
            self.epmd.start()
        return super().start()

    def stop(self) -> None:
        super().stop()
        self.epmd.stop()

    def close(self) -> None:
        super().close()
        self.epmd.close()

    def await_ready(self) -> None:
        until(self._answers, 300, what="an answer of RabbitMQ")

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("RabbitMQ ended before it was ready")
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # Connection.Start
        return False

    def _consume_nothing(self, connection: Any, name: str) -> None:
        """A consumer whose hands are full, so that messages keep waiting."""
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(name, lambda *_: None)

    def _configure(self) -> None:
        give_to(USER_NAME, self.directory)
        self._cookie = secrets.token_hex(16)
        files = {
            ".erlang.cookie": self._cookie,
            "enabled_plugins": "[rabbitmq_management].",
            "definitions.json": json.dumps(_definitions()),
            "rabbitmq.conf": f"listeners.tcp.local = {HOST}:{self.port}\n"
            f"load_definitions = {self.directory}/definitions.json\n"
            f"management.tcp.ip = {HOST}\nmanagement.tcp.port = {self.management_port}\n"
            "collect_statistics_interval = 1000\n"
            "vm_memory_high_watermark.relative = 0.6\ndisk_free_limit.absolute = 1MB\nheartbeat = 60\n",
        }
        for name, content in files.items():
            path = self.directory / name
            path.write_text(content)
            path.chmod(0o400)
            give_to(USER_NAME, path)


def _definitions() -> dict[str, Any]:
    users = (ADMIN, MONITOR)
    rights = {"vhost": "/", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": "/"}],
        "users": [{"name": user.name, "password_hash": _hash(user.password), "tags": ["monitoring"]} for user in users],
        "permissions": [{"user": user.name, "configure": user.configure, **rights} for user in users],
    }


def _hash(password: str) -> str:
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
