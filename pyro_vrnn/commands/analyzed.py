"""What ``analyze`` found: a table for people, numbers for files."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from pyro_vrnn.measures import ink, sound

#: What each measure is and its unit, by kind of data.
UNITS = {"audio": sound.UNITS, "pen": ink.UNITS}
#: Digits after the point in tables.
DIGITS = {"flatness": 3, "speed": 2, "stroke": 1}

#: What was written, and what a table calls it.
WORDS = {"real": "real", "sample": "samples", "mean": "means"}


class Measured(NamedTuple):
    """Samples of one source.

    Attributes:
        source: ``real``, or the name of a model.
        written: ``real``; ``sample`` or ``mean`` of the emission.
        values: Of every sample by measure, ``(n,)``.
        intraclass: Correlation of the parts of a sample by measure; None where samples have no parts.
        unusable: Samples that were left out: not finite.
        clipped: Values of sound outside [-1, 1), which were clipped as a file would.
    """

    source: str
    written: str
    values: Mapping[str, NDArray[np.float64]]
    intraclass: Mapping[str, float] | None = None
    unusable: int = 0
    clipped: int = 0

    @property
    def title(self) -> str:
        """For people."""
        return self.source if self.written == "real" else f"{self.source}, {WORDS[self.written]}"

    @property
    def number(self) -> int:
        """Samples that were measured."""
        return len(next(iter(self.values.values())))

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Of each measure: its spread over the samples where it is finite, and its intraclass correlation."""
        found = {}
        for name, values in self.values.items():
            kept = values[np.isfinite(values)]
            low, median, high = np.quantile(kept, [0.05, 0.5, 0.95]) if len(kept) else [np.nan] * 3
            numbers = {
                "mean": kept.mean() if len(kept) else np.nan,
                "std": kept.std(ddof=1) if len(kept) > 1 else np.nan,
                "low": low,
                "median": median,
                "high": high,
            }
            if self.intraclass is not None:
                numbers["intraclass"] = self.intraclass[name]
            found[name] = {key: _number(value) for key, value in numbers.items()}
        return found

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
        return {
            "source": self.source,
            "written": self.written,
            "samples": self.number,
            "unusable": self.unusable,
            "clipped": self.clipped,
            "measures": self.summary(),
        }


def table(found: Sequence[Measured], kind: str, title: str) -> Table:
    """A row for each source: the median of each measure, the middle nine tenths, and where there is one its ICC."""
    headings, cells, caption = cells_of(found, kind)
    made = Table(title=title, caption=caption, box=box.SIMPLE, title_justify="left", caption_justify="left")
    made.add_column("")
    for heading in headings:
        made.add_column(heading, justify="right")
    for row in cells:
        made.add_row(*row)
    return made


def cells_of(found: Sequence[Measured], kind: str) -> tuple[list[str], list[list[str]], str]:
    """Headings, rows whose first cell is a name, and what they mean, of :func:`table`."""
    units = UNITS[kind]
    lines = ["median (5 % to 95 %) over samples", *(f"{_words(name)}: {about}" for name, (_, about) in units.items())]
    if any(each.intraclass is not None for each in found):
        lines.append("ICC: share of the variance that lies between samples, not between the parts of one")
    headings = ["n", *(_words(name) + (f", {unit}" if unit else "") for name, (unit, _) in units.items())]
    rows = [
        [each.title, str(each.number), *(_cell(name, numbers) for name, numbers in each.summary().items())]
        for each in found
    ]
    return headings, rows, "\n".join(lines)


def rows(found: Sequence[Measured]) -> dict[str, NDArray[Any]]:
    """Columns of a table with a row a sample."""
    names = list(found[0].values)
    made: dict[str, NDArray[Any]] = {
        "source": np.concatenate([np.full(each.number, each.source, object) for each in found]),
        "written": np.concatenate([np.full(each.number, each.written, object) for each in found]),
        "sample": np.concatenate([np.arange(each.number) for each in found]),
    }
    return made | {name: np.concatenate([each.values[name] for each in found]) for name in names}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cell(name: str, numbers: Mapping[str, float | None]) -> str:
    digits = DIGITS.get(name, 1)
    low, median, high = (numbers[key] for key in ("low", "median", "high"))
    if median is None or low is None or high is None:
        return "none"
    icc = "" if numbers.get("intraclass") is None else f" ICC {numbers['intraclass']:.2f}"
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f}){icc}"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
