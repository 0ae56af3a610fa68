"""The anchor of a check on the page, which links, alerts and names of files use."""

import re
import zlib

_MOST = 100  # bytes, since it is the name of a file, too
_UNREADABLE = re.compile(r"[^\w.-]+")
_WITH_SUM = re.compile(r"-[0-9a-f]{8}$")


def make_anchor(check: str, target: str) -> str:
    """Return a unique and readable one: check-CHECK-TARGET.

    Where characters had to be replaced, or another check could have the same name, a checksum is added.
    """
    name = f"{check}-{target}" if target else check
    readable = _UNREADABLE.sub("-", name).encode()[:_MOST].decode(errors="ignore")
    if readable == name and "-" not in check and not _WITH_SUM.search(name):
        return f"check-{name}"
    return f"check-{readable}-{zlib.crc32(repr((check, target)).encode()):08x}"
