"""What a probe wants to show beside its result: a screenshot, the source of a page."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from healthchecks.plugin.text import clean
from servermonitoring.values import size_in_words

LARGEST = 2_000_000  # bytes of one attachment: a page with them must still open on a phone
MOST = 10_000_000  # bytes of all of one check: with them an alert still fits into one delivery
_LONGEST_NAME = 200  # characters
_NAMED = 50  # attachments that are named as left out


@dataclass(frozen=True)
class Attachment:
    """One picture or text of a probe."""

    name: str
    content: bytes
    media_type: str

    @property
    def is_picture(self) -> bool:
        return self.media_type.startswith("image/")


def fitting(attachments: Iterable[Attachment]) -> tuple[Attachment, ...]:
    """Return those that fit into MOST bytes, cleaned; a last one says which were left out."""
    kept: list[Attachment] = []
    left_out: list[Attachment] = []
    room = MOST
    for each in map(_cleaned, attachments):
        fits = len(each.content) <= room
        (kept if fits else left_out).append(each)
        room -= len(each.content) if fits else 0
    if left_out:
        kept.append(_note_of(left_out))
    return tuple(kept)


def _cleaned(attachment: Attachment) -> Attachment:
    name, media_type = clean(attachment.name, _LONGEST_NAME), clean(attachment.media_type, _LONGEST_NAME)
    content = attachment.content
    if not attachment.is_picture:
        content = clean(content.decode(errors="replace"), LARGEST).encode()[:LARGEST].decode(errors="ignore").encode()
    return replace(attachment, name=name, content=content, media_type=media_type)


def _note_of(left_out: list[Attachment]) -> Attachment:
    lines = [f"{each.name}: {size_in_words(len(each.content))}" for each in left_out[:_NAMED]]
    text = f"{len(left_out)} attachments left out: {size_in_words(MOST)} are the most for one check\n"
    return Attachment("left out", (text + "\n".join(lines)).encode(), "text/plain")
