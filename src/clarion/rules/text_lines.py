"""Lines of a text file in any encoding. A byte that does not fit spoils its own line and stops nothing."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TextIO

if TYPE_CHECKING:
    from codecs import IncrementalDecoder

LONGEST = 1024 * 1024
"""Characters of one line."""

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8"),
)
LONGEST_MARK = 4
_MARKED = ("utf-16", "utf-32")
"""Their order of bytes is said by the mark."""
_LINE_END = re.compile("\r\n|\r|\n")
_FOREIGN = re.compile("[\udc00-\udcff]")
"""What stands for a byte that does not fit the encoding."""
_NUL = "has a NUL character in it; if the file is UTF-16 without a byte order mark, name that encoding: utf-16-le"
_ERRORS = "clarion-foreign-bytes"
_NO_TEXT = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"})


class TextLine(NamedTuple):
    """A line with its end, as it was."""

    number: int
    text: str
    problem: str = ""
    """Why it cannot be read; empty when it can."""


def encoding_of(file: BinaryIO, wanted: str | None) -> str:
    """The encoding to read a file with: the wanted one, else that of its byte order mark, else UTF-8.
    ValueError for a name that is no text encoding."""
    if wanted is not None:
        return known_encoding(wanted)
    beginning = file.read(4)
    file.seek(0)
    return marked_encoding(beginning) or "utf-8"


def marked_encoding(beginning: bytes) -> str:
    """What the byte order mark at the beginning of a file says; empty when there is none."""
    return next((name for mark, name in _MARKS if beginning.startswith(mark)), "")


def open_text(file: BinaryIO, encoding: str) -> TextIO:
    """A text file whose foreign bytes survive reading, and writing what was read."""
    import codecs
    from io import TextIOWrapper

    codecs.register_error(_ERRORS, _foreign)
    return TextIOWrapper(file, encoding=encoding, errors=_ERRORS, newline="")


def lines_of(source: TextIO) -> Iterator[TextLine]:
    """Its lines, one in memory at a time. They end with a line feed, a carriage return, or both."""
    number = 0
    while text := source.readline(LONGEST):
        number += 1
        if len(text) == LONGEST and text[-1] not in "\r\n":
            _finish(source)
            yield TextLine(
                number, text, f"is longer than {LONGEST:,} characters (only its beginning is kept)"
            )
            continue
        text = text.removeprefix("\ufeff")
        yield TextLine(number, text, _problem(text, source.encoding))


class LineFeed(Iterator[TextLine]):
    """Lines of a file whose bytes come piece by piece."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = _decoder(encoding)
        self._beginning: bytes | None = b"" if encoding in _MARKED else None
        self._rest = ""
        self._skipping = False
        """Behind the beginning of a line that is too long."""
        self._lines: deque[TextLine] = deque()
        self._number = 0
        self.ended = False
        self.characters = 0
        """Of the lines that can be taken."""

    def __len__(self) -> int:
        """How many lines can be taken."""
        return len(self._lines)

    def __next__(self) -> TextLine:
        if not self._lines:
            raise StopIteration
        line = self._lines.popleft()
        self.characters -= len(line.text)
        return line

    def feed(self, content: bytes, *, last: bool = False) -> None:
        """The next bytes. `last`: there are no more."""
        if self._beginning is not None:
            content, self._beginning = self._beginning + content, None
            if len(content) < LONGEST_MARK and not last:
                self._beginning = content
                return
            if not marked_encoding(content[:LONGEST_MARK]):
                self._decoder = _decoder(f"{self._encoding}-le")  # as most write it without a mark
        text = self._rest + self._decoder.decode(content, last)
        self.ended = last
        place = 0
        for end in _LINE_END.finditer(text):
            if end.end() == len(text) and end.group() == "\r" and not last:
                break  # a line feed may follow
            self._add(text[place : end.end()])
            place = end.end()
        self._rest = text[place:]
        if last or len(self._rest) > LONGEST:
            if self._rest:
                self._add(self._rest)
            self._skipping, self._rest = not last, ""

    def _add(self, text: str) -> None:
        if self._skipping:
            self._skipping = text[-1] not in "\r\n"
            return
        self._number += 1
        if len(text) > LONGEST:
            problem = f"is longer than {LONGEST:,} characters (only its beginning is kept)"
            line = TextLine(self._number, text[:LONGEST], problem)
        else:
            text = text.removeprefix("\ufeff")
            line = TextLine(self._number, text, _problem(text, self._encoding))
        self._lines.append(line)
        self.characters += len(line.text)


def _decoder(encoding: str) -> IncrementalDecoder:
    import codecs

    codecs.register_error(_ERRORS, _foreign)
    return codecs.getincrementaldecoder(encoding)(_ERRORS)


def split(text: str, encoding: str) -> Iterator[TextLine]:
    """The lines of a text that was read with an encoding."""
    for number, line in enumerate(re.findall("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text), 1):
        yield TextLine(number, line, _problem(line, encoding))


class LineWriter:
    """Writes lines as they were in a file of an encoding."""

    def __init__(self, encoding: str) -> None:
        import codecs

        codecs.register_error(_ERRORS, _foreign)
        self._encoder = codecs.getincrementalencoder(encoding)(_ERRORS)

    def write(self, lines: Iterable[str]) -> bytes:
        """The next ones, each with a line feed behind it."""
        return self._encoder.encode("".join(f"{line}\n" for line in lines))


def text_of(content: bytes) -> str:
    """All of a file, for documents that are read whole. ValueError with the line that has a byte that does not fit."""
    from io import BytesIO

    encoding = encoding_of(BytesIO(content), None)
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = content[error.start] if error.start < len(content) else 0
        raise ValueError(
            f"line {line} has the byte 0x{wrong:02X}, which is not {encoding.upper()}: save it as UTF-8"
        ) from None


def _finish(source: TextIO) -> None:
    """Read to the end of the line."""
    while text := source.readline(LONGEST):
        if text[-1] in "\r\n":
            return


def _problem(text: str, encoding: str) -> str:
    if text.isascii():
        return _NUL if "\0" in text else ""
    if (found := _FOREIGN.search(text)) is not None:
        name = encoding.upper()
        other = "; if the whole file has another encoding, name it (for example cp1252)"
        advice = other if name == "UTF-8" else ""
        byte = ord(found.group()) - 0xDC00
        return f"has the byte 0x{byte:02X} at character {found.start() + 1}, which is not {name}{advice}"
    if "\ufeff" in text:
        return "has a byte order mark (U+FEFF) in the middle"
    return _NUL if "\0" in text else ""


def _foreign(error: UnicodeError) -> tuple[str | bytes, int]:
    """Each foreign byte becomes a character, and that character the byte again."""
    if isinstance(error, UnicodeDecodeError):
        return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spoiled = error.object[error.start : error.end]
    if error.encoding.startswith(("utf-16", "utf-32")) or _FOREIGN.sub("", spoiled):
        return "?" * len(spoiled), error.end
    return bytes(ord(character) - 0xDC00 for character in spoiled), error.end


def known_encoding(name: str) -> str:
    """The encoding of a name. ValueError with the nearest one."""
    import codecs
    from difflib import get_close_matches
    from encodings.aliases import aliases

    try:
        "".encode(name)
        codec = codecs.lookup(name).name
    except (LookupError, UnicodeError):
        codec = ""
    if not codec or codec in _NO_TEXT or codec.replace("_", "-") in _NO_TEXT:
        names = sorted({*aliases, *aliases.values()})
        near = get_close_matches(name.lower().replace("-", "_"), names, 1)
        hint = (
            f"did you mean {near[0].replace('_', '-')}?" if near else "for example cp1252, utf-16, shift_jis"
        )
        raise ValueError(f"encoding {name!r} is not known; {hint}")
    return codec
