"""The bytes of a text file as text: byte-order marks, UTF-8, UTF-16, UTF-32 and Windows-1252."""

import codecs
import re
from pathlib import Path

from kerasfound.errors import UserError

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its first half
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The encodings of the byte-order marks that a file can begin with."""
FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file; save the sheet as CSV UTF-8",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; save the sheet as CSV UTF-8",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"BZh": "a bzip2 archive; unpack it first",
    b"\xfd7zXZ": "an xz archive; unpack it first",
    b"PAR1": "a Parquet file; only tables are read from it",
}
"""The first bytes of files that people give in place of a text."""
FOREIGN = re.compile(rb"[\x80-\xff]{3}|\xff")
"""Bytes that Western European words in Windows-1252 do not have: then the encoding is another one."""
SAVE_AS_UTF_8 = 'save it as UTF-8 (a table as "CSV UTF-8")'


def read_text_file(path: Path) -> tuple[str, str]:
    """Return the text of a file, with \\n at its line ends, and a remark on its encoding, which is empty for Unicode.

    Args:
        path: a file in UTF-8, in UTF-16 or UTF-32 with a byte-order mark, or in Windows-1252 (Latin-1).

    Raises:
        UserError: if it cannot be read, is not text, or is in another encoding.
    """
    try:
        text, remark = decode(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a text file.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n"), remark


def decode(data: bytes, name: str) -> tuple[str, str]:
    """Return the text that `data` holds, and a remark on its encoding.

    Args:
        data: the content of a file.
        name: the file, for the messages.

    Example:
        >>> decode("\\ufeffnaïve".encode(), "a.txt"), decode("naïve".encode("latin-1"), "a.txt")
        (('naïve', ''), ('naïve', "not UTF-8, read as Windows-1252, such as 'naïve'"))
    """
    for start, what in FORMATS.items():
        if data.startswith(start):
            raise UserError(f"{name}: not a text file but {what}.")
    encoding = next((encoding for mark, encoding in MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding in ("utf-8", "utf-8-sig") and b"\0" in data[:4096]:
        raise UserError(f"{name}: not a text file, or UTF-16 without a byte-order mark; {SAVE_AS_UTF_8}.")
    try:
        return data.decode(encoding), ""
    except UnicodeDecodeError as error:
        try:
            return _decode_western(data, error)
        except UnicodeDecodeError:
            raise UserError(f"{name}: not UTF-8 text (byte {error.start}); {SAVE_AS_UTF_8}.") from error


def _decode_western(data: bytes, error: UnicodeDecodeError) -> tuple[str, str]:
    """Read as Windows-1252 if the bytes look like words of Western Europe, otherwise raise `error`."""
    if error.encoding != "utf-8" or FOREIGN.search(data):
        raise error
    text = data.decode("cp1252")
    word = re.search(r"\S{0,20}[^\x00-\x7f]\S{0,20}", text)
    return text, f"not UTF-8, read as Windows-1252, such as {word.group() if word else ''!r}"
