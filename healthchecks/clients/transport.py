"""How requests reaches a web server here: connections that can be broken off, and that say how far they came."""

import socket
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from healthchecks.clients.addresses import address
from healthchecks.clients.certificate import Certificate, context
from healthchecks.clients.connection import connect
from healthchecks.clients.keys import WebKeys
from healthchecks.clients.progress import Progress, Step
from healthchecks.clients.response_head import Response

_PLAIN_HEADERS = {"User-Agent": "servermonitoring", "Accept": "*/*"}


class Trace:
    """What the connections of one client saw: how far the newest came, and each server's certificate."""

    def __init__(self) -> None:
        self.progress = Progress("", 0)
        self.certificates: dict[str, Certificate | None] = {}

    def certificate_of(self, url: str) -> Certificate | None:
        return self.certificates.get(urlsplit(url).hostname or "")

    def begin(self, url: str, via: str) -> None:
        """A new request, on a connection that is there or on a new one; `via` redirected to it."""
        self.progress = Progress(*address(url), via=via)
        self.progress.at(Step.ANSWER)

    def connecting(self, host: str, port: int) -> Progress:
        """To this host, which may be a proxy."""
        self.progress = Progress(host, port, via=self.progress.via)
        return self.progress


def session_of(keys: WebKeys, trace: Trace) -> requests.Session:
    """A session that takes nothing from the environment and follows no redirect by itself."""
    session = _Session()
    session.trust_env = False
    session.headers.clear()
    session.headers.update(_PLAIN_HEADERS)
    adapter = _Adapter(keys, trace)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    if keys.proxy:
        session.proxies = {"http": keys.proxy, "https": keys.proxy}
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' own signature
        """None: requests would read the whole body of a redirect, however long, before it lets us look."""
        return None


class _Adapter(HTTPAdapter):
    def __init__(self, keys: WebKeys, trace: Trace) -> None:
        self._context = context(verify=keys.verify, ca=keys.ca)
        self._pools = _pools(trace)
        super().__init__()

    def init_poolmanager(self, *args: Any, **keys: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **keys)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **keys: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **{"ssl_context": self._context, **keys})
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do: the context says what is trusted, and was loaded once for all."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}


def _pools(trace: Trace) -> dict[str, type[HTTPConnectionPool]]:
    class Traced(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            then = Step.TLS if isinstance(self, HTTPSConnection) else Step.ANSWER
            return connect(trace.connecting(self.host.strip("[]"), self.port), then, self.socket_options or ())

        def getresponse(self) -> Any:
            trace.progress.at(Step.ANSWER)
            self.response_class = partial(Response, trace.progress)  # type: ignore[assignment]  # it is called, no more
            return super().getresponse()

    class Secured(Traced, HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            trace.progress.at(Step.ANSWER)
            trace.certificates[self.host] = Certificate.of(self.sock)  # type: ignore[arg-type]

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Traced

    class SecuredPool(HTTPSConnectionPool):
        ConnectionCls = Secured

    return {"http": PlainPool, "https": SecuredPool}
