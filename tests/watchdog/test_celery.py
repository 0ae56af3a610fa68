"""A Celery worker on RabbitMQ survives its hung browser and takes the next task."""

import os
import socket
import sys
import textwrap
from pathlib import Path

import pytest

from tests.servers.server import free_port
from tests.watchdog.kennel import CHROMIUM_OPTIONS, needed, wait_for

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
TASKS = textwrap.dedent("""
    import os
    from celery import Celery
    from selenium import webdriver
    from watchdog.selenium import watched

    app = Celery("tasks", broker=os.environ["BROKER"])
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)

    def note(text):
        with open(os.environ["NOTES"], "a") as notes:
            print(text, file=notes)

    @app.task
    def scrape(name, url, options):
        settings = webdriver.ChromeOptions()
        settings.binary_location = os.environ["CHROMIUM"]
        for option in (*options, f"--user-data-dir={os.environ['NOTES']}-{name}"):
            settings.add_argument(option)
        driver = watched(webdriver.Chrome(settings, webdriver.ChromeService(os.environ["CHROMEDRIVER"])))
        try:
            driver.get(url)
            note(f"{name} loaded {os.getpid()}")
        except Exception as error:
            note(f"{name} failed {os.getpid()}")
            raise
        finally:
            driver.quit()
""")


@pytest.fixture
def broker(kennel):
    """RabbitMQ with its own ports, files and port mapper."""
    needed("epmd")
    if not SERVER.exists():
        pytest.skip("missing: rabbitmq-server")
    home, port, mapper = kennel.home / "rabbitmq", free_port(), free_port()
    home.mkdir()
    (home / "plugins").write_text("[].\n")
    (home / "empty.conf").touch()
    environment = {
        **os.environ,
        "HOME": str(home),
        "ERL_EPMD_PORT": str(mapper), "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": str(home / "empty.conf"), "RABBITMQ_CONFIG_FILE": str(home / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_NODENAME": f"watchdog{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"), "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
    }  # fmt: skip
    kennel.start(["epmd", "-port", mapper, "-address", "127.0.0.1"], env=environment)
    log = (home / "out").open("wb")
    kennel.start([SERVER], env=environment, stdout=log, stderr=log)
    log.close()
    wait_for(lambda: answers(port), 300, lambda: f"RabbitMQ\n{(home / 'out').read_text()}")
    return f"amqp://guest:guest@127.0.0.1:{port}//"


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"AMQP\0\0\x09\x01")
            connection.settimeout(2)
            return bool(connection.recv(1))
    except OSError:
        return False


def test_the_task_fails_and_the_worker_takes_the_next(kennel, watching, site, broker, monkeypatch):
    pytest.importorskip("celery", reason="missing: celery")
    notes = kennel.home / "notes"
    notes.touch()
    (kennel.home / "tasks.py").write_text(TASKS)
    for name, value in {
        "BROKER": broker, "NOTES": str(notes), "PYTHONPATH": str(kennel.home),
        "CHROMIUM": needed("chromium"), "CHROMEDRIVER": needed("chromedriver"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    watch = watching('process = "chromium"\nvalidated_within = 60\nrevalidated_every = 10')
    log = (kennel.home / "worker.log").open("wb")
    worker = kennel.start(
        [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "1", "--without-mingle"],
        cwd=kennel.home, stdout=log, stderr=log,
    )  # fmt: skip
    log.close()
    send = "import sys, tasks; [tasks.scrape.delay(n, u, sys.argv[2:]) for n, u in eval(sys.argv[1])]"
    jobs = repr([("first", site.url + "never"), ("second", site.url)])
    sender = kennel.start([sys.executable, "-c", send, jobs, *CHROMIUM_OPTIONS])
    assert sender.wait(180) == 0
    wait_for(lambda: len(notes.read_text().splitlines()) == 2, 300, (kennel.home / "worker.log").read_text)
    (first, failed, one), (second, loaded, other) = (line.split() for line in notes.read_text().splitlines())
    assert (first, failed, second, loaded) == ("first", "failed", "second", "loaded")
    assert one == other  # the very same worker process
    assert worker.poll() is None
    assert [kill["reason"] for kill in watch.kills()] == ["silent"]
