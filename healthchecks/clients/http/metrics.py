"""Metrics of a response: its time, as a whole and by phase, and its size."""

from healthchecks import metric
from healthchecks.clients.http.client import Response


def report_response(response: Response, seconds: float, limit: float | None, max_body: float) -> None:
    """Report `seconds` as the response time, with its limit, then the phases, and the size with its limit in bytes."""
    metric("response time", seconds, "seconds", limit=limit)
    for name, each in response.phases.items():
        metric(name, each, "seconds")
    metric("body size", len(response.body), "bytes", limit=max_body)
