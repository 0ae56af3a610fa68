"""Response bodies: decompressed as they arrive, up to a limit, decoded as by a browser, and their values in JSON.

Charsets have the labels of the WHATWG encoding standard (https://encoding.spec.whatwg.org/#names-and-labels). A label
that is not among them names none: Python has codecs, such as punycode, that take minutes for a megabyte.
"""

import codecs
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

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


def codec_of(label: str) -> str:
    """Return Python's codec for a label; empty for one that is not of the web."""
    return CODECS.get(label.strip().lower(), "")


_LABELS = {
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "utf-16-le": "utf-16 utf-16le ucs-2 iso-10646-ucs-2 csunicode unicode unicodefeff",
    "utf-16-be": "utf-16be unicodefffe",
    "cp866": "ibm866 cp866 866 csibm866",
    "cp874": "windows-874 dos-874 tis-620 iso-8859-11 iso8859-11 iso885911",
    "cp1250": "windows-1250 cp1250 x-cp1250",
    "cp1251": "windows-1251 cp1251 x-cp1251",
    "cp1252": "windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 iso-ir-100 latin1"
    " l1 csisolatin1 ascii us-ascii ansi_x3.4-1968 cp819 ibm819",
    "cp1253": "windows-1253 cp1253 x-cp1253",
    "cp1254": "windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 iso-ir-148 latin5"
    " l5 csisolatin5",
    "cp1255": "windows-1255 cp1255 x-cp1255",
    "cp1256": "windows-1256 cp1256 x-cp1256",
    "cp1257": "windows-1257 cp1257 x-cp1257",
    "cp1258": "windows-1258 cp1258 x-cp1258",
    "iso8859-2": "iso-8859-2 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 iso-ir-101 latin2 l2 csisolatin2",
    "iso8859-3": "iso-8859-3 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 iso-ir-109 latin3 l3 csisolatin3",
    "iso8859-4": "iso-8859-4 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 iso-ir-110 latin4 l4 csisolatin4",
    "iso8859-5": "iso-8859-5 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988 iso-ir-144 cyrillic csisolatincyrillic",
    "iso8859-6": "iso-8859-6 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987 iso-ir-127 iso-8859-6-e iso-8859-6-i arabic"
    " csisolatinarabic csiso88596e csiso88596i asmo-708 ecma-114",
    "iso8859-7": "iso-8859-7 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 iso-ir-126 greek greek8 csisolatingreek"
    " ecma-118 elot_928 sun_eu_greek",
    "iso8859-8": "iso-8859-8 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 iso-ir-138 iso-8859-8-e iso-8859-8-i hebrew"
    " csisolatinhebrew csiso88598e csiso88598i visual logical",
    "iso8859-10": "iso-8859-10 iso8859-10 iso885910 iso-ir-157 latin6 l6 csisolatin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "iso-8859-15 iso8859-15 iso885915 iso_8859-15 csisolatin9 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "koi8-r koi8_r koi8 koi cskoi8r",
    "koi8-u": "koi8-u koi8-ru",
    "mac-roman": "macintosh mac x-mac-roman csmacintosh",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "gb18030 gbk x-gbk gb2312 gb_2312 gb_2312-80 csgb2312 csiso58gb231280 iso-ir-58 chinese",
    "big5hkscs": "big5 big5-hkscs cn-big5 x-x-big5 csbig5",
    "euc_jp": "euc-jp x-euc-jp cseucpkdfmtjapanese",
    "iso2022_jp": "iso-2022-jp csiso2022jp",
    "cp932": "shift_jis shift-jis sjis x-sjis csshiftjis windows-31j ms932 ms_kanji",
    "cp949": "euc-kr cseuckr windows-949 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 csksc56011987"
    " iso-ir-149",
}
"""By Python's codec, which may be of a larger charset, as in browsers: that of Latin-1 is Windows-1252."""
CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
