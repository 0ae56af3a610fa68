"""Celery: a task makes the round trip through a queue, workers reply, no task runs too long, no queue is too full."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from healthchecks import Duration, Secret, Target, metric, probe
from healthchecks.clients import preload
from healthchecks.clients.celery import broker_address
from healthchecks.clients.celery.rabbitmq import rabbitmq_transport
from healthchecks.clients.celery.redis import redis_transport
from healthchecks.clients.celery.round_trip import RoundTrip, make_round_trip
from healthchecks.clients.certificate import load_authorities
from healthchecks.clients.http.options import Authorities
from healthchecks.clients.redis import RedisAccess
from servermonitoring.values import counted, in_words


class Celery(Target):
    broker: Secret
    """URL of the broker, as in the application; with TLS `amqps://` or `rediss://`; a secret."""
    queue: str = Field(default="celery", min_length=1, max_length=255)
    """Queue through which the test task goes; it must exist, and is never created."""
    ca: Authorities | None = None
    """File of the only authorities to trust, in PEM form; default: those of the system and those of certifi; needs
    TLS."""
    min_workers: int = Field(default=1, ge=0, le=100_000)
    """Minimum number of workers that reply, of all queues of this broker; with 0 they are not asked."""
    max_queue_length: int = Field(default=1000, ge=0, le=1_000_000_000)
    """Maximum number of tasks waiting in the queue; above it no test task is sent."""
    max_task_runtime: Duration | None = Field(default=None, gt=0, le=366 * 86400)
    """Maximum time that any worker may run one task; not checked without the key."""

    @field_validator("broker")
    @classmethod
    def _is_broker(cls, broker: Secret) -> Secret:
        broker_address(broker.reveal())
        return broker

    @model_validator(mode="after")
    def _trust_fits(self) -> Self:
        address = broker_address(self.broker.reveal(), self.ca)
        if self.ca and not address.tls:
            raise ValueError("ca has no meaning without TLS: write amqps:// or rediss://")
        preload("redis" if isinstance(address, RedisAccess) else "pika")
        if address.tls:
            load_authorities(verify=True, ca=self.ca)
        return self


@probe
def round_trip(celery: Celery) -> RoundTrip:
    address = broker_address(celery.broker.reveal(), celery.ca)
    if isinstance(address, RedisAccess):
        opened = redis_transport(address, celery.queue)
    else:
        opened = rabbitmq_transport(address, celery.queue)
    with opened as transport:
        return make_round_trip(
            transport,
            max_waiting=celery.max_queue_length,
            min_workers=celery.min_workers,
            ask=celery.min_workers > 0 or celery.max_task_runtime is not None,
        )


def test_celery_tasks(celery: Celery, round_trip: RoundTrip) -> None:
    _report(celery, round_trip)
    wrong = [_wrong_task(celery, round_trip), _wrong_workers(celery, round_trip), _wrong_runtime(celery, round_trip)]
    found = "; ".join(filter(None, wrong))
    assert not found, found


def _report(celery: Celery, trip: RoundTrip) -> None:
    if trip.seconds is not None:
        metric("round trip", trip.seconds, "seconds")
    if trip.state:
        metric("tasks waiting", trip.state.waiting, limit=celery.max_queue_length)
    if trip.workers is not None:
        metric("workers", trip.workers, lower_limit=celery.min_workers or None)
        if trip.unreadable < trip.workers or not trip.workers:
            metric(
                "longest task", trip.longest.runtime if trip.longest else 0, "seconds", limit=celery.max_task_runtime
            )


def _wrong_task(celery: Celery, trip: RoundTrip) -> str:
    if trip.state is None:
        return f"queue {celery.queue} does not exist: no worker has consumed it yet"
    waiting = f"{counted(trip.state.waiting, 'task')} waiting in queue {celery.queue}"
    if trip.state.waiting > celery.max_queue_length:
        return f"{waiting}, maximum {celery.max_queue_length}; no test task was sent"
    if not trip.is_sent:
        return f"no worker consumes queue {celery.queue}, {counted(trip.state.waiting, 'task')} waiting"
    if trip.seconds is not None:
        return ""
    if trip.is_taken:
        return f"test task taken from queue {celery.queue}, but not done within {in_words(trip.waited)}"
    failed = "test task not done" if trip.is_taken is None else "test task not taken"
    return f"{failed} within {in_words(trip.waited)}, {waiting}"


def _wrong_workers(celery: Celery, trip: RoundTrip) -> str:
    """Return also how many workers replied while no task came back: so it is seen that they do not consume."""
    if trip.workers is None:
        return ""
    replied = f"{counted(trip.workers, 'worker') if trip.workers else 'no worker'} replied"
    if trip.workers < celery.min_workers:
        return f"{replied}, minimum {celery.min_workers}"
    return replied if trip.seconds is None else ""


def _wrong_runtime(celery: Celery, trip: RoundTrip) -> str:
    task, most = trip.longest, celery.max_task_runtime
    if most is None:
        return ""
    if task and task.runtime > most:
        return f"task {task.name} has run for {in_words(task.runtime)} on {task.worker}, maximum {in_words(most)}"
    if trip.unreadable:
        return (
            f"runtime of tasks unknown: {counted(trip.unreadable, 'worker')} did not reply in JSON; "
            f'set task_serializer = "json" in the application, or remove max_task_runtime'
        )
    return ""
