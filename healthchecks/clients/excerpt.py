"""Parts of what a peer sent, for messages: printable, without secrets, and short."""

from servermonitoring.scrubbing import scrub_and_cut

_MOST_READ = 1_000  # bytes that are looked at


def first_bytes(data: bytes, most: int = 60) -> str:
    """The first line in quotes, with what cannot be printed as in Python: 'SSH-2.0-OpenSSH_9.2'."""
    line = data[:_MOST_READ].strip().partition(b"\n")[0].rstrip()
    return repr(scrub_and_cut(line.decode(errors="replace"), most))
