"""Unpacks a body as it arrives: never more of it than is wanted, and a cut one is noticed."""

import zlib

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_MEMBER = b"\x1f\x8b"  # begins each member of a gzip file


class Unpacker:
    """`add()` each part of a body; it stays as it is in an encoding that is not known, since none was asked for."""

    def __init__(self, encoding: str, most: int) -> None:
        self._window = _WINDOWS.get(encoding.strip().lower())
        self._unpack = zlib.decompressobj(self._window) if self._window else None
        self._begun = False
        self._left = b""
        self._room = most + 1

    def add(self, part: bytes) -> bytes:
        """What this part unpacks to. Once that is more than `most` in all, it may be cut. Raise zlib.error."""
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
        """Whether the end is missing; a body without a byte is none."""
        return self._unpack is not None and self._begun and not self._unpack.eof

    def _next_member(self, part: bytes) -> bool:
        """Whether another member of a gzip file begins; other bytes after the end are ignored, as by browsers."""
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
