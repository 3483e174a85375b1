"""Tables of numbers as text (`.csv`)."""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from ..audio import UnusableError
from ..gathering import gather
from .foreign import shown, size_of
from .reals import rows_of, stored

BLOCK = 1 << 20  # bytes parsed at once, and the longest line
DELIMITERS = (",", ";", "\t", "|", None)  # None: any white space

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")
_FRACTIONAL = re.compile(r"[.einf]", re.IGNORECASE)  # what no integer has


class _Form(NamedTuple):
    """How a table is written: its first line of numbers (from 1), what separates them, and how many a line has."""

    first: int
    delimiter: str | None
    width: int


def read_csv(file: BinaryIO, *, what: str) -> np.ndarray:
    """A table, shape `(T, D)`: int32 where every number is written as an integer, else float32.

    Numbers have decimal points. They are separated by commas, semicolons, tabs, bars or spaces, whichever makes the
    first line one of numbers. Passed over are empty lines, lines with `#` before the numbers, and one line of names, of
    which none is a number.

    Args:
        file: The open file.
        what: Its name, for the message of a full disk.

    Raises:
        UnusableError: A line is something else than numbers, or they are not finite or not within 32 bits.
    """
    form = _form(file)
    integral = not any(_FRACTIONAL.search(line) for _, lines in _blocks(file, form.first) for line in lines)
    pieces = (_parse(number, lines, form, integral=integral) for number, lines in _blocks(file, form.first))
    values = gather(pieces, np.int32 if integral else np.float32, expected=size_of(file) // 2, what=what)
    rows_of((len(values) // form.width, form.width))
    return values.reshape(-1, form.width)


def _blocks(file: BinaryIO, first: int = 1) -> Iterator[tuple[int, list[str]]]:
    """Lines of the file from the `first` on, in blocks of bounded size with the number of their first line."""
    file.seek(0)
    number, rest, last = 1, b"", False
    while not last:
        chunk = file.read(BLOCK)
        last = not chunk
        if b"\0" in chunk:
            raise UnusableError("not a table of text; expected UTF-8")
        rest += chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        whole, newline, rest = rest.rpartition(b"\n") if not last else (rest, b"\n", b"")
        if len(rest) > BLOCK:
            line = number + whole.count(b"\n") + len(newline)
            raise UnusableError(f"line {line} is longer than {BLOCK >> 20} MiB")
        if newline and whole:
            lines = whole.decode("latin-1").split("\n")
            if number + len(lines) > first:
                yield max(number, first), lines[max(0, first - number) :]
            number += len(lines)
        elif newline:
            number += 1


def _form(file: BinaryIO) -> _Form:
    """Look at the first two lines that are no comments: names and numbers, or numbers."""
    seen: list[tuple[int, str]] = []
    for start, lines in _blocks(file):
        for number, line in enumerate(lines, start):
            text = line.removeprefix("\xef\xbb\xbf") if number == 1 else line
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            for delimiter in DELIMITERS:
                if _first_wrong(fields := _fields(text, delimiter)) is None:
                    _check_names(seen, delimiter)
                    return _Form(number, delimiter, len(fields))
            seen.append((number, text))
            if len(seen) == 2:
                raise UnusableError(_reason(number, text))
    raise UnusableError("holds no line of numbers")


def _check_names(seen: list[tuple[int, str]], delimiter: str | None) -> None:
    """A line with a number in it is a faulty row, not one of names: it would be lost in silence."""
    for number, text in seen:
        if any(map(_NUMBER.fullmatch, _fields(text, delimiter))):
            raise UnusableError(_reason(number, text, delimiter))


def _parse(number: int, lines: list[str], form: _Form, *, integral: bool) -> np.ndarray:
    """The numbers of some lines one after another, as they are stored."""
    if number == 1:
        lines[0] = lines[0].removeprefix("\xef\xbb\xbf")
    rows = [line for line in lines if line and not line.isspace()]
    if not rows:
        return np.zeros(0, np.int32 if integral else np.float32)
    try:
        values = np.loadtxt(rows, delimiter=form.delimiter, comments=None, ndmin=2)
    except ValueError:
        values = np.zeros((0, 0))
    if values.shape != (len(rows), form.width):
        raise UnusableError(_fault(number, lines, form))
    if not integral:
        return stored(values).ravel()
    if values.min() < -(2**31) or values.max() >= 2**31:
        raise UnusableError("holds integers of more than 32 bits; write them with a decimal point")
    return values.astype(np.int32).ravel()


def _fault(start: int, lines: list[str], form: _Form) -> str:
    """Which line is no row of the table, and why."""
    for number, line in enumerate(lines, start):
        fields = _fields(line, form.delimiter)
        if not line.strip():
            continue
        if _first_wrong(fields) is not None:
            return _reason(number, line, form.delimiter)
        if len(fields) != form.width:
            return f"line {number} has {len(fields)} columns, line {form.first} has {form.width}"
    return f"lines {start} to {start + len(lines)} are no table of numbers"


def _fields(line: str, delimiter: str | None) -> list[str]:
    return [field.strip() for field in line.split(delimiter)]


def _first_wrong(fields: list[str]) -> int | None:
    return next((i for i, field in enumerate(fields) if not _NUMBER.fullmatch(field)), None)


def _reason(number: int, line: str, delimiter: str | None = ",") -> str:
    pointed = _DECIMAL_COMMA.sub(".", line)
    if pointed != line and any(_first_wrong(_fields(pointed, other)) is None for other in DELIMITERS):
        return f"line {number} has decimal commas; expected decimal points"
    fields = _fields(line, delimiter)
    column = _first_wrong(fields) or 0
    return f"line {number}, column {column + 1}: {shown(fields[column])} is not a number"
