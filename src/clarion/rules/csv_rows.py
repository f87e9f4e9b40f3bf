"""Rows of a CSV file. A wrong row costs one line: a quote that is opened and not closed swallows nobody behind it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from clarion.rules.text_lines import LONGEST, TextLine

DELIMITERS = ",;\t|"
MOST_LINES = 500
"""Lines of one row."""

LooksLikeRow = Callable[[Sequence[str]], bool]


class CsvRow(NamedTuple):
    """A row: the line it begins in and the one it ends in, as it was, and its values (or what is wrong)."""

    number: int
    last: int
    raw: str
    values: list[str]
    problem: str = ""


class Header(NamedTuple):
    """The line that names the columns."""

    raw: str
    names: list[str]
    delimiter: str


def header_of(
    lines: Iterator[TextLine], known: Callable[[str], bool], delimiters: str = DELIMITERS
) -> Header:
    """The header: separated by whichever of `delimiters` gives the most known names, or by what Excel's `sep=` line says.
    ValueError when it cannot be read."""
    line = _header_line(lines)
    marked = re.fullmatch(r'"?sep=(.)"?[\r\n]*', line.text, re.IGNORECASE)
    if marked is not None:
        line = _header_line(lines)
    raw = line.text.rstrip("\r\n")
    candidates = [
        Header(raw, names, delimiter)
        for delimiter in (marked.group(1) if marked is not None else delimiters)
        if (names := _names(raw, delimiter))
    ]
    if not candidates:
        raise ValueError("the first line is not a list of column names: its quotes do not match")
    return max(candidates, key=lambda header: (sum(map(known, header.names)), len(header.names)))


def rows_of(lines: Iterator[TextLine], header: Header, looks_like_row: LooksLikeRow) -> Iterator[CsvRow]:
    """The rows behind the header. A value in quotes may run over lines, unless one of them looks like a row of
    its own: then the quote is taken for a mistake, and only the line it stands in is refused."""
    waiting: deque[TextLine] = deque()
    whole = _well_quoted(header.delimiter)

    def take() -> TextLine | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (first := take()) is not None:
        taken = [first]
        try:
            values = _values(taken, take, header, looks_like_row)
            raw = "".join(line.text for line in taken).rstrip("\r\n")
            if '"' in raw and whole.fullmatch(raw) is None:
                raise ValueError(
                    'has a quote in the middle of a value; put the value in quotes and double the quotes in it: "5"" pipe"'
                )
            if len(values) != len(header.names) and any(values):
                raise ValueError(f"has {len(values)} values, the header has {len(header.names)}")
        except ValueError as wrong:
            waiting.extendleft(reversed(taken[1:]))
            yield CsvRow(first.number, first.number, first.text.rstrip("\r\n"), [], str(wrong))
            continue
        if any(values):
            yield CsvRow(first.number, taken[-1].number, raw, values)


def _values(
    taken: list[TextLine],
    take: Callable[[], TextLine | None],
    header: Header,
    looks_like_row: LooksLikeRow,
) -> list[str]:
    import csv

    def texts() -> Iterator[str]:
        size = 0
        line: TextLine | None = taken[0]
        while line is not None:
            if line.problem:
                raise ValueError(
                    line.problem if line is taken[0] else f"opens a quote; line {line.number} {line.problem}"
                )
            yield line.text
            size += len(line.text)
            line = take()
            if line is None:
                return
            taken.append(line)
            cells = [cell.strip('"') for cell in line.text.rstrip("\r\n").split(header.delimiter)]
            if len(cells) == len(header.names) and looks_like_row(cells):
                raise ValueError(
                    f"opens a quote that is not closed before line {line.number}, which looks like a row of its own"
                )
            if len(taken) > MOST_LINES or size > LONGEST:
                raise ValueError(f"opens a quote that is not closed within {MOST_LINES} lines")

    try:
        return next(csv.reader(texts(), delimiter=header.delimiter, strict=True), [])
    except csv.Error as wrong:
        said = str(wrong)
        if "unexpected end" in said:
            said = "opens a quote that is never closed"
        elif "expected after" in said:
            said = "has text after a closing quote; double the quotes inside a value"
        else:
            said = f"is not a CSV row: {said}"
        raise ValueError(said) from None


def _header_line(lines: Iterator[TextLine]) -> TextLine:
    line = next((line for line in lines if line.problem or line.text.strip()), None)
    if line is None:
        raise ValueError("the file is empty; its first line must name the columns")
    if line.problem:
        raise ValueError(f"the first line {line.problem}")
    return line


def _names(raw: str, delimiter: str) -> list[str]:
    import csv

    try:
        names = [name.strip() for name in next(csv.reader([raw], delimiter=delimiter, strict=True), [])]
    except csv.Error:
        return []
    return [] if any('"' in name for name in names) else names


def _well_quoted(delimiter: str) -> re.Pattern[str]:
    """A row whose every value is either in quotes or has none."""
    value = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{re.escape(delimiter)}]*+)'
    return re.compile(rf"{value}(?:{re.escape(delimiter)}{value})*+")
