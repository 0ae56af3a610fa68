"""A Celery worker on RabbitMQ survives its hung browser and takes the next task."""

import contextlib
import sys
import textwrap

import pytest

from tests.servers.rabbitmq import ADMIN
from tests.watchdog.kennel import CHROMIUM_OPTIONS, needed, wait_for

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
def broker(rabbitmq, kennel):
    """The URL of a broker on which the test leaves nothing."""
    before = rabbitmq.names("queue")
    yield rabbitmq.url(ADMIN)
    kennel.end()  # the worker would declare its queue again
    with contextlib.closing(rabbitmq.connect()) as connection:
        connection.channel().queue_delete("celery")
    wait_for(lambda: rabbitmq.names("queue") <= before, what=lambda: "the end of the worker's queues")


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
