"""Handwritten lines of IAM-OnDB: XML of strokes and their points.

`WhiteboardCaptureSession/StrokeSet/Stroke/Point[x, y, time]`, one file a line; x grows to the right and y downward.
Time stamps are not looked at: some run backward. The parser is expat's, fed in pieces. A document type is refused, and
with it every entity but the five of XML: nothing is expanded and nothing else is opened.

Source: Liwicki & Bunke 2005, https://fki.tic.heia-fr.ch/databases/iam-on-line-handwriting-database
"""

import math
import re
from array import array
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

import numpy as np

from ..audio import UnusableError
from . import Contents, Item
from .foreign import opened, shown, size_of
from .reals import rows_of, stored

SUFFIXES = frozenset({".xml"})
ROOT = "WhiteboardCaptureSession"
LARGEST = 1 << 26  # bytes; a line has about a hundred thousand
ENCODINGS = ("UTF-8", "UTF-16", "ISO-8859-1", "US-ASCII")
DEPTH = 100  # elements within each other; a line has four
BLOCK = 1 << 16  # bytes parsed at once

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def read(path: Path, name: str) -> Contents:
    """The rows dx, dy, pen of one line, shape `(T, 3)`: int16, int32 where that is too small, float32 of decimals.

    Offsets lie between successive points, so the first point is dropped; repeated points are kept, with offsets of 0.
    Pen is 1 at the last point of each stroke.

    Args:
        path: The file.
        name: What it is called.

    Raises:
        UnusableError: The file is no such XML, declares a document type, is too large, or has less than three points.
    """
    with opened(path) as file:
        size = size_of(file)
        if size > LARGEST:
            raise UnusableError(f"{size / 2**20:.0f} MiB of XML; expected one line of at most {LARGEST >> 20} MiB")
        line = _Line()
        try:
            while block := file.read(BLOCK):
                line.parser.Parse(block, False)
            line.parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise UnusableError(f"not well-formed XML ({error})") from None
    text = "\n".join(line.text) or None
    return Contents((Item(name, line.rows(), text=text),), ())


class _Line:
    """What has been parsed of a file: the points' coordinates and where strokes end."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.XmlDeclHandler = self.declare
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.path: list[str] = []
        self.x = array("d")
        self.y = array("d")
        self.ends = array("q")  # points before the end of each stroke
        self.integers = True
        self.text: list[str] = []

    def declare(self, version: str, encoding: str | None, standalone: int) -> None:
        # Of any other encoding expat asks Python, whose codecs are many and not all of characters.
        if encoding is not None and encoding.upper() not in ENCODINGS:
            raise UnusableError(f"XML encoded as {shown(encoding)}; expected one of {', '.join(ENCODINGS)}")

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if not self.path and element != ROOT:
            raise UnusableError(f"XML of {shown(element)}; expected {ROOT}")
        self.path.append(element)
        if len(self.path) > DEPTH:
            raise UnusableError(f"XML of more than {DEPTH} elements within each other")
        if self.path[1:] == ["StrokeSet", "Stroke", "Point"]:
            self.x.append(self.number(attributes, "x"))
            self.y.append(self.number(attributes, "y"))
        elif element == "TextLine" and "text" in attributes:
            self.text.append(attributes["text"])

    def end(self, element: str) -> None:
        if self.path[1:] == ["StrokeSet", "Stroke"]:
            self.ends.append(len(self.x))
        self.path.pop()

    def refuse(self, *declaration: object) -> NoReturn:
        raise UnusableError("XML with a document type (DTD), whose entities could expand without end; remove it")

    def number(self, attributes: dict[str, str], axis: str) -> float:
        text = attributes.get(axis, "")
        if not _INTEGER.fullmatch(text):
            self.integers = False
            if not _DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
                raise UnusableError(f"point {len(self.y) + 1}: {axis} is {shown(text)}; expected a number")
        return float(text)

    def rows(self) -> np.ndarray:
        count = len(self.x)
        if count < 3:
            raise UnusableError(f"{count} point{'' if count == 1 else 's'}; expected at least 3")
        rows = np.zeros((count - 1, 3))
        rows[:, 0] = np.diff(np.frombuffer(self.x))
        rows[:, 1] = np.diff(np.frombuffer(self.y))
        rows[[end - 2 for end in self.ends if end > 1], 2] = 1
        rows_of(rows.shape)
        if not self.integers:
            return stored(rows)
        if max(rows.max(), -rows.min()) < 2**15:
            return rows.astype(np.int16)
        return stored(rows.astype(np.int64))
