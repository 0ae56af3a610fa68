"""The slug of Sentry's cron monitor, one for each host where it says so: else a live host hides a dead one."""

import hashlib
import re

HOST = "{host}"
LONGEST = 50  # characters; Sentry's own limit
_DIGEST = 6  # characters that tell apart two long names of hosts that begin alike


def monitor_slug(monitor: str, host: str) -> str:
    """Return the monitor's slug, in which `{host}` is the name of this host, in what a slug may hold."""
    if HOST not in monitor:
        return monitor
    name = re.sub(r"[^a-z0-9_]+", "-", host.lower()).strip("-") or "host"
    room = LONGEST - len(monitor.replace(HOST, ""))
    if len(name) > room:
        digest = hashlib.sha256(host.encode(errors="replace")).hexdigest()[:_DIGEST]
        name = f"{name[: max(0, room - _DIGEST - 1)]}-{digest}"[-room:].strip("-")
    slug = monitor.replace(HOST, name)
    return f"host-{slug}"[:LONGEST] if slug.isdecimal() else slug  # Sentry takes none of digits only
