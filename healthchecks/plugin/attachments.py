"""What a measurement wants to show beside its result: a screenshot, the source of a page."""

from dataclasses import dataclass

LARGEST = 2_000_000  # bytes of one attachment: a page with them must still open on a phone


@dataclass(frozen=True)
class Attachment:
    """One picture or text of a measurement."""

    name: str
    content: bytes
    media_type: str

    @property
    def is_picture(self) -> bool:
        return self.media_type.startswith("image/")
