"""Resolves the issue of a check that is well again, through Sentry's API.

By event, since events are what we know: https://docs.sentry.io/api/organizations/resolve-an-event-id and
https://docs.sentry.io/api/events/update-an-issue.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from servermonitoring.secret import Secret

if TYPE_CHECKING:
    from requests import PreparedRequest

_NOT_FOUND = 404


@dataclass(frozen=True)
class Resolver:
    """`[sentry] token`, `organization` and perhaps `project`, which asks for fewer rights."""

    url: str
    token: Secret
    organization: str
    project: str = ""

    def resolve(self, event: str, timeout: float) -> bool:
        """Whether there was such an event. Raises requests.RequestException; `timeout` in seconds, for each request."""
        import requests

        with requests.Session() as session:
            session.auth = self._authorized  # else requests would take a password of ~/.netrc instead
            found = session.get(self._url_of(event), timeout=timeout, allow_redirects=False)
            if found.status_code == _NOT_FOUND:
                return False
            found.raise_for_status()
            document = found.json()
            issue = document.get("groupId") or document.get("groupID")
            url = f"{self._api}/organizations/{self.organization}/issues/{issue}/"
            session.put(url, json={"status": "resolved"}, timeout=timeout, allow_redirects=False).raise_for_status()
        return True

    def _authorized(self, request: "PreparedRequest") -> "PreparedRequest":
        request.headers["Authorization"] = f"Bearer {self.token.reveal()}"
        return request

    @property
    def _api(self) -> str:
        return f"{self.url.rstrip('/')}/api/0"

    def _url_of(self, event: str) -> str:
        if self.project:
            return f"{self._api}/projects/{self.organization}/{self.project}/events/{event}/"
        return f"{self._api}/organizations/{self.organization}/eventids/{event}/"
