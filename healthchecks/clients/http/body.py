"""Response bodies: decompressed as they arrive, up to a limit, decoded as by a browser, and their values in JSON."""

import codecs
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from healthchecks.clients.http.charset import codec_of
from servermonitoring.scrubbing import scrub_and_cut

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_MEMBER = b"\x1f\x8b"  # begins each member of a gzip file


class Unpacker:
    """Decompresses a body, part by part; a body in an unknown encoding stays as it is, since none was requested."""

    def __init__(self, encoding: str, most: int) -> None:
        self._window = _WINDOWS.get(encoding.strip().lower())
        self._unpack = zlib.decompressobj(self._window) if self._window else None
        self._begun = False
        self._left = b""
        self._room = most + 1

    def add(self, part: bytes) -> bytes:
        """Return this part decompressed. Above `most` bytes in all it may be cut. Raise zlib.error."""
        if self._unpack is None:
            return part
        part, self._left = self._left + part, b""
        unpacked = bytearray()
        while part and self._room > 0:
            if self._unpack.eof and not self._next_member(part):
                break
            unpacked += self._decompress(part)
            part = self._unpack.unused_data
        return bytes(unpacked)

    @property
    def is_cut(self) -> bool:
        """Whether the end is missing; an empty body is complete."""
        return self._unpack is not None and self._begun and not self._unpack.eof

    def _next_member(self, part: bytes) -> bool:
        """Start the next member of a gzip file; return False for other bytes, which are ignored as by browsers."""
        if len(part) < len(_MEMBER):
            self._left = part
            return False
        if self._window != _GZIP or not part.startswith(_MEMBER):
            return False
        self._unpack = zlib.decompressobj(_GZIP)
        return True

    def _decompress(self, part: bytes) -> bytes:
        assert self._unpack
        try:
            unpacked = self._unpack.decompress(part, self._room)
        except zlib.error:
            if self._begun or self._window != _ZLIB:
                raise
            self._unpack = zlib.decompressobj(_RAW)  # deflate without its frame, as some servers send it
            unpacked = self._unpack.decompress(part, self._room)
        self._begun = True
        self._room -= len(unpacked)
        return unpacked


_SEARCHED = 1024  # bytes in which browsers search for a <meta>
_META = re.compile(rb"<meta\s[^>]{0,500}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w:.-]{1,40})", re.IGNORECASE)
_HEADER = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w:.-]{1,40})", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def decode_body(body: bytes, content_type: str) -> str:
    """Return the text, with U+FFFD for bytes that are invalid in its charset."""
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, errors="replace")
    given = _HEADER.search(content_type)
    codec = codec_of(given[1]) if given else _by_meta(body, content_type)
    return body.decode(codec or "utf-8", errors="replace")


def _by_meta(body: bytes, content_type: str) -> str:
    if content_type and "html" not in content_type.lower():
        return ""
    found = _META.search(body[:_SEARCHED])
    codec = codec_of(found[1].decode("ascii", errors="replace")) if found else ""
    return "utf-8" if codec.startswith("utf-16") else codec  # a readable <meta> is not in UTF-16


_LONGEST_VALUE = 100  # characters of a value in a message


class _MissingPathError(LookupError):
    """There is no value at this path."""


def first_difference(text: str, expected: Mapping[str, Any]) -> str:
    """Return a message for the first value that is not as expected; empty where all are."""
    if not expected:
        return ""
    try:
        document = json_of(text)
    except ValueError as error:
        return str(error)
    for path, value in expected.items():
        try:
            found = _at(document, path)
        except _MissingPathError:
            return f"the JSON has no {path}"
        if not _equal(found, value):
            return f"{path} is {shown_value(found)} instead of {shown_value(value)}"
    return ""


def json_of(text: str) -> Any:
    """Return the document. Raise ValueError for a text that is no JSON, or is nested too deeply to be read."""
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None


def _at(document: Any, path: str) -> Any:
    """Return the value at "workers.0.state"; keys with dots are found as well. Raise _MissingPathError."""
    if isinstance(document, dict) and path in document:
        return document[path]
    head, _, rest = path.partition(".")
    while True:
        if (inner := _inner(document, head)) is not None:
            return _at(inner[0], rest) if rest else inner[0]
        if not rest:
            raise _MissingPathError(path)
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"


def _inner(document: Any, key: str) -> tuple[Any] | None:
    if isinstance(document, dict) and key in document:
        return (document[key],)
    if isinstance(document, list) and key.isascii() and key.isdigit() and int(key) < len(document):
        return (document[int(key)],)
    return None


def _equal(found: Any, expected: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, but true is not 1."""
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)


def shown_value(value: Any) -> str:
    """Return a value of a document for messages, as JSON."""
    return scrub_and_cut(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)
