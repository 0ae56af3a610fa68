"""What a probe or a test may call: how much time is left, what it waits for, what is to be kept, earlier metrics."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from healthchecks.plugin.forecast import DAY
from healthchecks.plugin.metric import Unit, make_metric, merged
from healthchecks.plugin.peer import make_record
from healthchecks.plugin.probes.job import current_job
from healthchecks.plugin.result import LARGEST, Attachment, CheckError, valid
from servermonitoring import clock

_AHEAD = 60  # seconds: a run that begins in the same second as another one is given the next free second


def remaining() -> float:
    """Return the seconds left of the timeout of the probe that calls this: a client's time limits are set to it.

    Never below 0.001, since to many clients 0 means no limit. Outside of a probe: 10.
    """
    job = current_job()
    if job is None or job.ends_at is None:
        return 10.0
    return max(0.001, job.ends_at - clock.monotonic())


def phase(text: str) -> None:
    """Say what the probe waits for from now on, as the beginning of its message if the timeout expires.

    `phase("connected to db1:5432, no response")` gives "connected to db1:5432, no response within 4 s"; so does a
    `ProbeTimeout` that is raised without a text. Without any phase it is "no response".
    """
    job = current_job()
    if job is not None:
        job.set_phase(text)


def on_timeout(clean: Callable[[], object]) -> None:
    """Have `clean` called when the timeout expires or the run ends before this probe does.

    For what an abandoned thread would leave behind: a browser's processes. Called from another thread.
    """
    job = current_job()
    if job is not None:
        job.clean_with(clean)


def attach(name: str, content: str | bytes, media_type: str = "text/plain") -> None:
    """Keep a text, or with media_type "image/png" a picture, for the page; called inside a probe or a test.

    Cut at 2 MB; a picture larger than that is left out, and so is what exceeds 10 MB of one check. Does nothing
    elsewhere.
    """
    job = current_job()
    data = valid(content).encode() if isinstance(content, str) else content
    if job is None or (media_type.startswith("image/") and len(data) > LARGEST):
        return
    job.attachments.append(Attachment(name, data, media_type))


def metric(
    name: str, value: float, unit: Unit = "none", *, limit: float | None = None, lower_limit: float | None = None
) -> None:
    """Report a number for page, history, alerts and Prometheus; called inside a probe or a test.

    `metric("used", 0.43, "ratio", limit=0.9)`. `unit` is seconds, bytes, ratio, celsius or none; `limit` and
    `lower_limit` are what the check fails above and below, shown as lines. The first metric of a check is its main
    one. A name that was reported before in the same check is replaced. Raises CheckError for more than 20 names, a
    value that is not finite, and another unit. Does nothing elsewhere.
    """
    job = current_job()
    try:
        made = make_metric(name, value, unit, limit, lower_limit)
        if job is not None:
            job.metrics = [*merged([*job.metrics, made])]
    except ValueError as error:
        raise CheckError(str(error)) from None


def show_peer(link: str, max_age: float, document: Mapping[str, Any] | None = None) -> None:
    """Have the page show another server as a group of checks; called inside a probe.

    `link` is its page. `document` is its status.json, with times as datetime; older than `max_age` seconds it is shown
    as stale. Without a document the page shows the last one. Raises CheckError for what is no status.json. Does nothing
    elsewhere.
    """
    job = current_job()
    try:
        record = make_record(link, max_age, document)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckError(f"show_peer: the document is no status.json: {type(error).__name__}: {error}") from None
    if job is not None:
        job.peer = record


class PastMetrics:
    """Where the history of this run is; the processes of probes and tests have it by fork."""

    directory: ClassVar[Path | None] = None

    @classmethod
    def forget(cls) -> None:
        cls.directory = None


def past_metric(check: str, target: str, name: str, *, days: float = 7) -> list[tuple[float, float]]:
    """Return time, in unix seconds, and value of a metric in earlier runs, the oldest first.

    `check` and `target` are those of status.json. This run is not in it yet. Each run has a point for two weeks,
    before them each hour, with its mean. Empty without a history, if it cannot be read, and outside of a run.
    """
    from healthchecks.plugin import history

    if PastMetrics.directory is None:
        return []
    now = clock.time()
    points = history.metric_points(PastMetrics.directory, check, target, name, int(now - days * DAY))
    return [(float(point.time), point.value) for point in points if point.time < now + _AHEAD]
