"""Former keys of the configuration, for the error about an unknown key."""

from collections.abc import Collection

# By kind of table ("website", "run"), "*" for every table, mark and report header. A row applies only where the new
# key exists or is in another table; one of the table's own comes before one of "*".
RENAMED: dict[str, dict[str, str]] = {
    "*": {
        "deadline": "timeout",
        "after": "failure_threshold",
    },
    "alerts": {"storm": "max_per_run", "per_day": "max_per_day"},
    "bookmarklet": {
        "log": "[job.NAME] log",
        "ok": "[job.NAME] ok",
        "fail": "[job.NAME] fail",
        "fresh_within": "[job.NAME] max_age",
    },
    "database": {
        "connections_used": "max_connections_used",
        "oldest_transaction": "max_transaction_age",
        "replication_lag": "max_replication_lag",
    },
    "disk": {"used": "max_used", "inodes": "max_inodes_used"},
    "history": {"days": "max_age"},
    "host": {"available": "min_memory_available", "swap": "max_swap_used", "load": "max_load_per_core"},
    "login": {"lacks": "not_contains", "redirects": "max_redirects"},
    "website": {
        "lacks": "not_contains",
        "redirects": "max_redirects",
        "time": "max_response_time",
        "ends_at": "final_url",
        "certificate_days": "min_certificate_days",
    },
}


def new_name(kind: str, key: str, known: Collection[str]) -> str:
    """Return what a former key of a table is called now; "" for a key that was never there."""
    name = RENAMED.get(kind, {}).get(key) or RENAMED["*"].get(key, "")
    return name if name in known or name.startswith("[") else ""


def hint(kind: str, key: str, known: Collection[str]) -> str:
    """Return '; it is called "timeout" now', to follow 'unknown key "deadline"'; "" for a key never renamed."""
    name = new_name(kind, key, known)
    return f'; it is called "{name}" now' if name else ""
