"""Why a browser could not load a page: the words of Chromium and Firefox, in those of all other checks."""

import re

from healthchecks.clients.addresses import address, peer

_WORDS = [
    (r"ERR_CONNECTION_REFUSED|e=connectionFailure", "connection refused at PEER"),
    (r"ERR_NAME_NOT_RESOLVED|e=dnsNotFound", "cannot resolve HOST"),
    (r"ERR_ADDRESS_UNREACHABLE|ERR_INTERNET_DISCONNECTED|e=netOffline", "no route to PEER"),
    (
        r"ERR_EMPTY_RESPONSE|ERR_CONNECTION_(?:CLOSED|RESET)|e=netReset",
        "closed the connection without an answer at PEER",
    ),
]


def in_words(said: str, url: str) -> str:
    """What is wrong, and where; empty for what is not known."""
    for pattern, words in _WORDS:
        if re.search(pattern, said):
            return words.replace("PEER", peer(url)).replace("HOST", address(url)[0])
    return ""
