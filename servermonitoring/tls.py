"""Certificate authorities that checks and alerts trust. Import it late: `ssl` takes time to load."""

import ssl
from contextlib import suppress
from pathlib import Path


def trusted_context(ca: str | Path | None = None) -> ssl.SSLContext:
    """Return a new client context that verifies certificates and host names.

    Trusted are the authorities of the system (update-ca-certificates; OpenSSL's $SSL_CERT_FILE and $SSL_CERT_DIR) and
    those of certifi where it is installed, so that an authority of one's own and the public ones are both trusted, also
    where the system has none. With `ca`, a PEM file, only the authorities in it. Raise OSError where it cannot be read
    (ssl.SSLError where it holds no certificate).
    """
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        with suppress(ImportError):
            import certifi

            context.load_verify_locations(certifi.where())
    return context
