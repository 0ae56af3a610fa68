"""What a measurement wants to show beside its result: a screenshot, the source of a page."""

from dataclasses import dataclass

LARGEST = 2_000_000  # bytes of one attachment: a page with them must still open on a phone


@dataclass(frozen=True)
class Attachment:
    """One picture or text of a measurement."""

    name: str
    content: bytes
    media_type: str


def attach(name: str, content: str | bytes, media_type: str = "text/plain") -> None:
    """Keep a text, or with media_type "image/png" a picture, for the page; called inside a measurement.

    Cut at 2 MB; a picture larger than that is left out. Does nothing outside of a measurement.
    """
    from healthchecks.plugin.job import current_job

    job = current_job()
    data = content.encode() if isinstance(content, str) else content
    if job is None or (media_type.startswith("image/") and len(data) > LARGEST):
        return
    job.attachments.append(Attachment(name, data[:LARGEST], media_type))
