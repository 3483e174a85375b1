"""Tables as text: Markdown, LaTeX (booktabs) and CSV. The terminal's own is drawn by the command."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyro_vrnn.comparison.paired import LEVEL
from pyro_vrnn.comparison.paper import REMARK, REMARKS, printed
from pyro_vrnn.comparison.runs import UNITS
from pyro_vrnn.comparison.table import Block, Cell, Row, place
from pyro_vrnn.inference.results import Kind

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

#: Whose numbers stand beside ours.
PAPER = "Chung et al. 2015"

#: Marks in LaTeX's mathematics.
LATEX_MARKS = {"=": "=", "≥": r"\geq", "≤": r"\leq", "≈": r"\approx", "~": r"\sim", "": ""}


class Piece(NamedTuple):
    """One number of a cell, as it is printed.

    Attributes:
        mark: Of its kind.
        particles: Below the mark; may be empty.
        number: The number.
        error: Its standard error over seeds; may be empty.
        best: Whether it is set off.
    """

    mark: str
    particles: str
    number: str
    error: str = ""
    best: bool = False


#: What stands in one place of a table: a text, or numbers.
Entry = str | tuple[Piece, ...]


@dataclass(frozen=True)
class Sheet:
    """A table to be printed.

    Attributes:
        title: Above.
        header: Of each column.
        rows: Entries of each.
        remarks: Below, a line each.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    remarks: Sequence[str] = field(default_factory=tuple)


def sheets(
    blocks: Sequence[Block], units: str, layout: str, words: Callable[[str], str], remarks: Sequence[str] = ()
) -> list[Sheet]:
    """What to print of blocks.

    Args:
        blocks: From :func:`~pyro_vrnn.comparison.table.blocks`, with the same units and layout.
        units: A key of :data:`~pyro_vrnn.comparison.runs.UNITS`.
        layout: ``kinds``: a sheet a block; ``paper``: one sheet with a column a block, as Table 1 of the paper.
        words: An estimate's name for people.
        remarks: Further ones.

    Returns:
        At least one; the last has the remarks on all.
    """
    legend = [*remarks, *_legend(blocks, units)]
    paper = units == "nats" and any(printed(row.runs[0].config.model) for row in _models(blocks))
    if paper:
        presets = {row.runs[0].config.model.preset for row in _models(blocks)}
        legend += [REMARK, *(REMARKS[name] for name in sorted(presets & REMARKS.keys()))]
    if layout == "paper":
        return [_as_the_paper(blocks, units, words, paper, legend)]
    found = []
    for at, block in enumerate(blocks):
        header = ["", "parameters", "seeds", *(words(column.names[0]) for column in block.columns)]
        rows: list[list[Entry]] = []
        for row in block.rows:
            about = [words(row.label), "", ""] if row.reference else [row.label, _parameters(row), str(len(row.runs))]
            entries: list[Entry] = [*about, *(() if cell is None else (_piece(cell, units),) for cell in row.cells)]
            rows.append([*entries, _printed(row)] if paper else entries)
        header += [PAPER] if paper else []
        last = legend if at == len(blocks) - 1 else []
        found.append(Sheet(f"{block.title}; {UNITS[units][1]}", header, rows, [*block.remarks, *last]))
    return found


def markdown(found: Iterable[Sheet]) -> str:
    """GitHub's tables; the best in bold."""
    parts = []
    for sheet in found:
        lines = [f"**{_plain(sheet.title)}**", ""]
        lines += ["| " + " | ".join(map(_plain, sheet.header)) + " |", "| --- |" + " ---: |" * (len(sheet.header) - 1)]
        for row in sheet.rows:
            lines.append("| " + " | ".join(_plain(e) if isinstance(e, str) else text(e, "**") for e in row) + " |")
        parts.append("\n".join([*lines, "", *(f"{_plain(line)}  " for line in sheet.remarks)]).rstrip())
    return "\n\n".join(parts) + "\n"


def latex(found: Iterable[Sheet]) -> str:
    r"""Tables that need ``\usepackage{booktabs}`` and an input encoding of UTF-8, which is LaTeX's own since 2018."""
    parts = ["% needs \\usepackage{booktabs}"]
    for sheet in found:
        parts += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(sheet.title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(sheet.header) - 1)}}}",
            r"\toprule",
            " & ".join(map(_escaped, sheet.header)) + r" \\",
            r"\midrule",
            *(" & ".join(_escaped(e) if isinstance(e, str) else _latex(e) for e in row) + r" \\" for row in sheet.rows),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\footnotesize {_escaped(line)}" for line in sheet.remarks),
            r"\end{table}",
            "",
        ]
    return "\n".join(parts)


def comma_separated(blocks: Sequence[Block], units: str) -> str:
    """A line a number, at full precision; differences are in nats a sequence, of the column's first less this row."""
    out = io.StringIO()
    names = [
        *(
            "data",
            "checksum",
            "dithered",
            "row",
            "variant",
            "preset",
            "parameters",
            "estimate",
            "kind",
            "mark",
            "units",
        ),
        *("mean", "standard_error_over_seeds", "seeds", "sequences", "best"),
        *("behind_nats", "behind_low", "behind_high", "behind_p", "behind_p_seeds", "runs"),
    ]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for block in blocks:
        for row in block.rows:
            run, model = row.runs[0], not row.reference
            for cell in row.cells:
                if cell is None:
                    continue
                behind = cell.behind
                writer.writerow(
                    {
                        "data": run.data["name"],
                        "checksum": run.data["checksum"],
                        "dithered": run.data["dither"],
                        "row": row.label,
                        "variant": run.config.model.variant if model else "",
                        "preset": run.config.model.preset if model else "",
                        "parameters": run.parameters if model else "",
                        "estimate": cell.estimate,
                        "kind": cell.kind.label,
                        "mark": _mark(cell, units),
                        "units": UNITS[units][0],
                        "mean": repr(cell.mean.value),
                        "standard_error_over_seeds": "" if cell.mean.error is None else repr(cell.mean.error),
                        "seeds": " ".join(str(each.seed) for each in row.runs),
                        "sequences": run.data["test_sequences"],
                        "best": cell.best,
                        "behind_nats": "" if behind is None else repr(behind.difference),
                        "behind_low": "" if behind is None else repr(behind.low),
                        "behind_high": "" if behind is None else repr(behind.high),
                        "behind_p": "" if behind is None else repr(behind.p),
                        "behind_p_seeds": "" if cell.behind_p is None else repr(cell.behind_p),
                        "runs": " ".join(each.id for each in row.runs) if model else "",
                    }
                )
    return out.getvalue()


def text(entry: Sequence[Piece], bold: str = "") -> str:
    """Numbers in one line: ``≈₄₀ 395.0 ± 0.2``."""
    words = []
    for piece in entry:
        number = f"{bold}{piece.number}{bold}" if piece.best else piece.number
        mark = piece.mark + piece.particles.translate(SUBSCRIPTS)
        words.append(f"{mark} {number}" + (f" ± {piece.error}" if piece.error else ""))
    return "  ".join(words)


def _as_the_paper(
    blocks: Sequence[Block], units: str, words: Callable[[str], str], paper: bool, legend: Sequence[str]
) -> Sheet:
    """One row a model, one column a data set, and in each all that is known of it; below a row the paper's own."""
    places = {row.label: place(row) for block in blocks for row in block.rows}
    labels = sorted(places, key=places.__getitem__)
    held = [{row.label: row for row in block.rows} for block in blocks]
    rows: list[list[Entry]] = []
    for label in labels:
        found = [each.get(label) for each in held]
        entries: list[Entry] = [
            () if row is None else tuple(_piece(cell, units) for cell in row.cells if cell is not None) for row in found
        ]
        reference = next(row for row in found if row is not None).reference
        rows.append([words(label) if reference else label, *entries])
        own: list[Entry] = [() if row is None else _printed(row) for row in found]
        if paper and any(own):
            rows.append([f"{label}, {PAPER}", *own])
    names = [block.name for block in blocks]
    told = [block.name if names.count(block.name) == 1 else block.title for block in blocks]
    titles = [block.title for block, heading in zip(blocks, told, strict=True) if heading != block.title]
    remarks = list(dict.fromkeys(line for block in blocks for line in block.remarks))
    return Sheet(UNITS[units][1], ["", *told], rows, [*titles, *remarks, *legend])


def _legend(blocks: Sequence[Block], units: str) -> list[str]:
    cells = [cell for block in blocks for row in block.rows for cell in row.cells if cell is not None]
    kinds = [kind for kind in Kind if any(cell.kind is kind for cell in cells)]
    marks = "; ".join(f"{kind.bits_mark if units == 'bits' else kind.mark} {kind.words}" for kind in kinds)
    less = "; less is better" if units == "bits" else ""
    lines = [f"{marks}; below a mark the number of samples or particles{less}"]
    if any(cell.mean.error is not None for cell in cells):
        lines.append("± standard error over seeds")
    if any(cell.behind is not None for cell in cells):
        lines.append(
            "best (bold, *): significantly better than every other row of its column, at a two-sided level of"
            f" {LEVEL:.0%} each: over test sequences (paired bootstrap-t) and, of several common seeds, over seeds"
            " (paired t-test); all must hold, so that their number needs no correction. Of bounds it is the best bound,"
            " and no exact number is called better than a bound"
        )
    return lines


def _models(blocks: Sequence[Block]) -> list[Row]:
    return [row for block in blocks for row in block.rows if not row.reference]


def _parameters(row: Row) -> str:
    return f"{row.runs[0].parameters:,}"


def _mark(cell: Cell, units: str) -> str:
    return cell.kind.bits_mark if units == "bits" else cell.kind.mark


def _piece(cell: Cell, units: str) -> Piece:
    digits = UNITS[units][2]
    error = "" if not cell.mean.error else f"{cell.mean.error:.{digits}f}"
    return Piece(_mark(cell, units), cell.particles, f"{cell.mean.value:.{digits}f}", error, cell.best)


def _printed(row: Row) -> Entry:
    numbers = () if row.reference else printed(row.runs[0].config.model)
    marks = (Kind.EXACT.mark,) if len(numbers) == 1 else (Kind.BOUND.mark, Kind.CONSISTENT.mark)
    return tuple(Piece(mark, "", str(number)) for mark, number in zip(marks, numbers, strict=bool(numbers)))


def _plain(words: str) -> str:
    return words.replace("|", "\\|").replace("*", "\\*")


def _escaped(words: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"$\sim$", "^": r"\^{}", "±": r"$\pm$", "<": "$<$", ">": "$>$"}
    special |= {name: rf"\{name}" for name in "&%$#_{}"}
    special |= {mark: f"${code}$" for mark, code in LATEX_MARKS.items() if mark not in ("", "=", "~")}
    return re.sub(r"[\\~^±<>&%$#_{}≥≤≈]", lambda found: special[found[0]], words)


def _latex(entry: Sequence[Piece]) -> str:
    words = []
    for piece in entry:
        mark = LATEX_MARKS[piece.mark] + (f"_{{{piece.particles}}}" if piece.particles else "")
        number = rf"\mathbf{{{piece.number}}}" if piece.best else piece.number
        words.append(f"${mark} {number}" + (rf" \pm {piece.error}$" if piece.error else "$"))
    return r"\quad ".join(words)
