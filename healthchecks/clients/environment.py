"""The part of the environment that a driver and its browser need, and nothing else: the rest may be secret.

Proxies are left out: `http_proxy` often holds a password, and nothing else here uses it either; so is the desktop,
which leads out of the browser's own directory.
"""

import os

_NEEDED = {
    "HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "FONTCONFIG_FILE", "FONTCONFIG_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
}  # fmt: skip
_FAMILIES = ("LC_", "SNAP")


def inherited() -> dict[str, str]:
    """Return the variables that a child browser inherits."""
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith(_FAMILIES)}
