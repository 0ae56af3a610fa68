"""Charsets: the labels of the web name what browsers decode them as, and all others mean UTF-8."""

import codecs

import pytest

from healthchecks.clients.http.body import CODECS, codec_of, decode_body

LABELS = {
    "UTF-8": ("ü", b"\xc3\xbc"),
    "unicode-1-1-utf-8": ("ü", b"\xc3\xbc"),
    "utf-16": ("ü", b"\xfc\x00"),
    "utf-16be": ("ü", b"\x00\xfc"),
    "ISO-8859-1": ("€", b"\x80"),
    "us-ascii": ("ü", b"\xfc"),
    "x-cp1252": ("€", b"\x80"),
    "latin2": ("ł", b"\xb3"),
    "iso_8859-5:1988": ("Я", b"\xcf"),
    "iso-8859-8-i": ("א", b"\xe0"),
    "iso-8859-9": ("ğ", b"\xf0"),
    "iso-8859-11": ("ก", b"\xa1"),
    "iso8859-15": ("€", b"\xa4"),
    "windows-1251": ("Я", b"\xdf"),
    "cp866": ("Я", b"\x9f"),
    "koi8-r": ("я", b"\xd1"),
    "koi8-ru": ("ї", b"\xa7"),
    "macintosh": ("ü", b"\x9f"),
    "x-mac-cyrillic": ("Я", b"\x9f"),
    "gb2312": ("中€", b"\xd6\xd0\xa2\xe3"),
    "gb18030": ("中", b"\xd6\xd0"),
    "x-x-big5": ("中", b"\xa4\xa4"),
    "euc-jp": ("日", b"\xc6\xfc"),
    "iso-2022-jp": ("日", b"\x1b$BF|\x1b(B"),
    "Shift_JIS": ("①日", b"\x87@\x93\xfa"),
    "windows-31j": ("日", b"\x93\xfa"),
    "euc-kr": ("똠", b"\x8cc"),
    "ks_c_5601-1987": ("한", b"\xc7\xd1"),
}
OTHERS = (
    "punycode", "utf-7", "utf-32", "idna", "hz", "hz-gb-2312", "iso-2022-kr", "rot13", "base64", "uu", "zip", "mbcs",
    "unicode_escape", "raw_unicode_escape", "undefined", "cp037", "x-user-defined", "oops", "x" * 40, "../a", "",
)  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_charset_of_the_web(label):
    text, body = LABELS[label]
    assert decode_body(body, f"text/html; charset={label}") == text
    assert decode_body(body, f'text/html; charset="{label.upper()}"') == text


@pytest.mark.parametrize("label", OTHERS)
def test_other_charset_is_utf8(label):
    """Python knows most of them; punycode needs minutes for a megabyte."""
    assert codec_of(label) == ""
    assert decode_body("ü".encode(), f"text/plain; charset={label}") == "ü"
    page = f"<meta charset={label}>ü"
    assert decode_body(page.encode(), "text/html") == page


def test_each_label_has_a_codec():
    for label, codec in CODECS.items():
        assert codecs.lookup(codec), label
