"""A plugin for a run that may have 150 MB above what it needs to begin with: a cell of 100 MB, and it ends."""

import resource
from pathlib import Path


def pytest_collection_finish():
    import psycopg2  # noqa: F401 - part of what a run needs to begin with

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = (
        pages * resource.getpagesize() + 150_000_000
    )  # of it 72 for each thread: its stack and what malloc sets aside
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
