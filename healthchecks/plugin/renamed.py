"""Former keys of the configuration, for the error about an unknown key."""

from collections.abc import Collection

# By kind of table ("website", "run"), "*" for every table, mark and report header. A row applies only where the new
# key exists, and one of the table's own comes before one of "*".
RENAMED: dict[str, dict[str, str]] = {
    "*": {
        "deadline": "timeout",
        "after": "failure_threshold",
    },
}


def new_name(kind: str, key: str, known: Collection[str]) -> str:
    """Return what a former key of a table is called now; "" for a key that was never there."""
    name = RENAMED.get(kind, {}).get(key) or RENAMED["*"].get(key, "")
    return name if name in known else ""


def hint(kind: str, key: str, known: Collection[str]) -> str:
    """Return '; it is called "timeout" now', to follow 'unknown key "deadline"'; "" for a key never renamed."""
    name = new_name(kind, key, known)
    return f'; it is called "{name}" now' if name else ""
