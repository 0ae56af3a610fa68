"""A Celery worker of our own, with the tasks of an application that knows nothing of health checks."""

import os
import subprocess
import sys
from typing import Self

import psutil

from tests.servers.server import Server, ends_with_parent, until

_APPLICATION = """
import os, time
from celery import Celery
from kombu import Queue

app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND"))
app.conf.update(
    task_routes={"*": {"queue": "other"}},
    task_queues=[Queue("mail"), Queue("slow"), Queue("other")],
    task_create_missing_queues=False,
    task_serializer=os.environ["SERIALIZER"],
    accept_content=["json", "pickle"],
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
)

@app.task
def hang():
    open(os.environ["HANGS"], "w").close()
    time.sleep(3600)
"""

_WAIT = """
import time
from shop import app

def age():
    active = app.control.inspect(destination=["{name}"]).active() or {{}}
    return max((time.time() - task["time_start"] for tasks in active.values() for task in tasks), default=0)

while age() < {seconds}:
    time.sleep(0.1)
"""


class CeleryWorker(Server):
    """One process for tasks, `queues` as given; one of "slow" can be blocked, or cancelled."""

    def __init__(self, broker: str, queues: str = "mail", backend: str = "", serializer: str = "json") -> None:
        super().__init__()
        self.broker, self.queues, self.backend, self.serializer = broker, queues, backend, serializer
        self.name = f"worker@{self.directory.name[-8:]}"
        (self.directory / "shop.py").write_text(_APPLICATION)

    def command(self) -> list[str]:
        options = ["-c", "1", "-Q", self.queues, "-n", self.name, "-l", "info", "--without-mingle", "--without-gossip"]
        return [*ends_with_parent("KILL"), sys.executable, "-m", "celery", "-A", "shop", "worker", *options]

    def environment(self) -> dict[str, str]:
        backend = {"BACKEND": self.backend} if self.backend else {}
        hangs = str(self.directory / "hangs")
        own = {"BROKER": self.broker, "HANGS": hangs, "SERIALIZER": self.serializer, "C_FORCE_ROOT": "1"}
        return os.environ | own | backend

    def await_ready(self) -> None:
        until(self._is_ready, 300, what="a ready Celery worker")

    def block(self, seconds: float) -> Self:
        """Let its only process hang in a task; return when the worker itself replies that it has for so long."""
        self._run("from shop import hang; hang.apply_async(queue='slow')")
        until((self.directory / "hangs").exists, 300, what="a hanging task")
        self._run(_WAIT.format(name=self.name, seconds=seconds))
        return self

    def cancel_consumer(self) -> None:
        """Let it reply as before, and consume nothing."""
        self._run("from shop import app; app.control.cancel_consumer('slow')")
        until(lambda: "Canceling queue" in self.log, what="the end of its consumer")

    def task_process(self) -> psutil.Process:
        """The process that runs its tasks."""
        return psutil.Process(self.pid).children()[0]

    def _run(self, program: str) -> None:
        subprocess.run(
            [sys.executable, "-c", program], cwd=self.directory, env=self.environment(), check=True, timeout=300
        )

    def _is_ready(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("the Celery worker ended before it was ready")
        return " ready." in self.log
