"""Keys that several tables share."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from healthchecks import Secret, Size
from healthchecks.clients.addresses import Url
from servermonitoring.files import read_regular
from servermonitoring.scrubbing import is_sensitive
from servermonitoring.secret import FILE_PREFIX

_LARGEST = 10_000_000  # bytes of a file of authorities


def _secrets(value: object) -> object:
    """What is no secret by its name is not remembered as one: "text/html" must not be blanked out everywhere."""
    if not isinstance(value, dict):
        return value
    return {key: _plain(text) if _is_plain(key, text) else text for key, text in value.items()}


def _is_plain(key: object, text: object) -> bool:
    return isinstance(text, str) and not is_sensitive(str(key)) and not text.startswith(FILE_PREFIX)


def _plain(text: str) -> Secret:
    return Secret(text, remembered=False)


def certificates(path: Path) -> Path:
    """Return the path of a file of authorities. Raises ValueError for one that cannot be read, or holds none."""
    import ssl

    try:
        read_regular(path, _LARGEST)  # OpenSSL would wait for a pipe
        ssl.create_default_context(cafile=str(path))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except ssl.SSLError:
        raise ValueError(f"{path} holds no certificate in PEM form") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return path


def _texts(value: object) -> object:
    return (value,) if isinstance(value, str) else value


SecretByName = Annotated[dict[str, Secret], BeforeValidator(_secrets)]
"""Names with values that do not show; `file:/path` reads a value from a file."""

Authorities = Annotated[Path, AfterValidator(certificates)]
"""A file of authorities to trust, in PEM form."""

Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A text, or a list of texts."""


class WebKeys(BaseModel):
    """How a web server is spoken to."""

    url: Url
    """Where to begin."""
    redirects: int = Field(default=10, ge=0, le=50)
    """Most redirects to follow; 0 follows none, and the redirect itself is judged."""
    max_body: Size = Field(default=5_000_000, gt=0)
    """Largest body, unpacked; a larger one is a failure."""
    verify: bool = True
    """Whether the server's certificate must be valid."""
    ca: Authorities | None = None
    """File of the authority to trust instead of the public ones."""
    proxy: Url | None = None
    """Proxy to go through; proxies of the environment are never used."""

    @model_validator(mode="after")
    def _trust_fits(self) -> Self:
        if self.ca and not self.verify:
            raise ValueError("ca has no meaning with verify = false: leave one of them out")
        return self

    def explicit(self, *keys: str) -> list[str]:
        """Which of these keys are written in the file."""
        return [key for key in keys if key in self.model_fields_set]

    def dict_of(self, secrets: dict[str, Secret]) -> dict[str, Any]:
        """The values for the client that needs them."""
        return {name: secret.reveal() for name, secret in secrets.items()}
