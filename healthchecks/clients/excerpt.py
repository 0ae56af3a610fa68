"""Parts of what a peer sent, for messages: printable, without secrets, and short."""

from servermonitoring.scrubbing import scrub

_MOST_READ = 1_000  # bytes that are looked at: scrubbed before they are cut, so that no half of a secret is left


def first_bytes(data: bytes, most: int = 60) -> str:
    """The first line in quotes, with what cannot be printed as in Python: 'SSH-2.0-OpenSSH_9.2'."""
    line = data[:_MOST_READ].strip().partition(b"\n")[0].rstrip()
    text = scrub(line.decode(errors="replace"))
    return repr(text if len(text) <= most else text[: most - 1] + "…")
