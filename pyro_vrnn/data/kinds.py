"""What sequences are of: sound, pen strokes, or rows of numbers. Importing it loads nothing."""

from typing import Literal, NamedTuple

Kind = Literal["audio", "pen", "arrays"]
"""`audio`: samples in frames; `pen`: rows (dx, dy, pen), where pen is 1 at the last point of a stroke and else 0;
`arrays`: rows of D real values."""

PEN = 3
"""Values of a pen's point."""


KINDS: dict[Kind, str] = {"audio": "sound", "pen": "pen strokes", "arrays": "rows of numbers"}
"""Each kind for people."""


class Words(NamedTuple):
    """How people call what sequences of a kind are made of.

    Attributes:
        sequence: What a source holds many of, as it is before it is cut.
        frame: One step of it.
        value: One number of a step.
        speaker: Who it is from.
    """

    sequence: str
    frame: str
    value: str
    speaker: str


WORDS: dict[Kind, Words] = {
    "audio": Words("clip", "frame", "sample", "speaker"),
    "pen": Words("sequence", "point", "value", "writer"),
    "arrays": Words("sequence", "frame", "value", "speaker"),
}


def width_of(kind: Kind, frame: int) -> int:
    """Continuous values in a step of `frame` values: all but the pen's last."""
    return frame - 1 if kind == "pen" else frame
