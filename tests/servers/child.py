"""What the servers written in Python do as child processes of a test run."""

import os
import resource
import sys
import threading


def ready() -> None:
    """Write to the parent that connections are taken from now on."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    """End when the parent does, even if it was killed: its end of our stdin closes then."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def raise_descriptor_limit() -> None:
    """As many open connections as the system allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
