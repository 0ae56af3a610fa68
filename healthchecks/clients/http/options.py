"""Configuration keys that several kinds of targets share."""

import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from healthchecks import ConfigPath, Secret, Size
from healthchecks.clients.certificate import context, load_authorities
from healthchecks.clients.http.urls import Origin, Url
from servermonitoring.files import read_regular
from servermonitoring.scrubbing import remember
from servermonitoring.secret import FILE_PREFIX

_HARMLESS = re.compile(
    r"(?:sec-fetch|if|x-forwarded)-.*|accept(?:-.*)?|cache-control|connection|content-(?:language|type)|date|dnt|expect"
    r"|forwarded|from|host|origin|pragma|range|referer|te|upgrade-insecure-requests|user-agent|via|x-requested-with"
    r"|(?:user|account|login|e-?mail|mail)(?:[_-]?(?:name|address|id))?|name|lang|language|locale|country|remember"
    r"|remember[_-]?me|submit|action|next",
    re.IGNORECASE,
)
_LARGEST = 10_000_000  # bytes of a file of authorities


def _secrets(value: object) -> object:
    """Make every value a Secret; those with harmless names, such as Accept, are not scrubbed elsewhere."""
    if not isinstance(value, dict):
        return value
    return {key: Secret(text, remembered=False) if _is_plain(text) else text for key, text in value.items()}


def _is_plain(text: object) -> bool:
    return isinstance(text, str) and not text.startswith(FILE_PREFIX)


def _remember(secrets: dict[str, Secret]) -> dict[str, Secret]:
    for name, secret in secrets.items():
        if not _HARMLESS.fullmatch(name):
            remember(secret.reveal(), name)
    return secrets


def certificates(path: Path) -> Path:
    """Return the path of a file of authorities. Raise ValueError where it is unreadable or contains none."""
    try:
        read_regular(path, _LARGEST)  # OpenSSL would wait for a pipe
        context(verify=True, ca=path)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except ssl.SSLError:
        raise ValueError(f"{path} contains no certificate in PEM form") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return path


def _texts(value: object) -> object:
    return (value,) if isinstance(value, str) else value


SecretByName = Annotated[dict[str, Secret], BeforeValidator(_secrets), AfterValidator(_remember)]
"""Names with values that do not show; `file:/path` reads a value from a file."""

Authorities = Annotated[ConfigPath, AfterValidator(certificates)]
"""A file of authorities to trust, in PEM form."""


def _checked(text: str) -> str:
    from healthchecks.clients.http.expression import checked_expression  # with the library, only where there is one

    return checked_expression(text)


Expressions = Annotated[
    tuple[Annotated[str, AfterValidator(_checked)], ...],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A JMESPath expression, or a list of them."""

Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A text, or a list of texts."""


def _statuses(value: object) -> object:
    given = value if isinstance(value, list | tuple) else (value,)
    if not given:
        raise ValueError('is empty: write a status such as 200, or a class such as "2xx"')
    return tuple(_status(each) for each in given)


def _status(value: object) -> str:
    text = str(value).lower() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _STATUS.fullmatch(text):
        raise ValueError(
            f'{value!r} is not a status: write 200, a class such as "2xx", or a list of them: [200, "3xx"]'
        )
    return text


_STATUS = re.compile(r"[1-5](?:\d\d|xx)", re.ASCII)
_STATUS_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 100, "maximum": 599},
        {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
    ]
}
Statuses = Annotated[
    tuple[str, ...],
    BeforeValidator(_statuses),
    WithJsonSchema({"anyOf": [*_STATUS_SCHEMA["anyOf"], {"type": "array", "items": _STATUS_SCHEMA, "minItems": 1}]}),
]
"""HTTP statuses and classes of them: "200", "2xx"."""


class WebKeys(BaseModel):
    """Keys of the targets that are web servers."""

    url: Url
    """URL of the first request, http or https."""
    max_redirects: int = Field(default=10, ge=0, le=50)
    """Maximum number of redirects. With 0, for websites only, none is followed: the redirect is the response."""
    allowed_origins: tuple[Origin, ...] = ()
    """Other origins that may receive password, token, headers, body and form fields: `["https://sso.example.com"]`."""
    max_body: Size = Field(default=5_000_000, gt=0, le=1_000_000_000)
    """Maximum size of the body, decompressed."""
    verify: bool = True
    """Whether the server's certificate must be valid."""
    ca: Authorities | None = None
    """File of the only authorities to trust, in PEM form; default: those of the system and those of certifi."""
    proxy: Url | None = None
    """URL of an HTTP proxy; those of the environment are never used."""

    @model_validator(mode="after")
    def _trust_fits(self) -> Self:
        if self.ca and not self.verify:
            raise ValueError("ca has no meaning with verify = false: remove one of them")
        return self

    @model_validator(mode="after")
    def _authorities_are_loaded(self) -> Self:
        if any(isinstance(value, str) and value[:6].lower() == "https:" for value in vars(self).values()):  # of any key
            load_authorities(verify=self.verify, ca=self.ca)
        return self

    def explicit(self, *keys: str) -> list[str]:
        """Return those of the keys that are set in the file."""
        return [key for key in keys if key in self.model_fields_set]

    def dict_of(self, secrets: dict[str, Secret]) -> dict[str, Any]:
        """Return the revealed values."""
        return {name: secret.reveal() for name, secret in secrets.items()}
