"""From facts, tables, pictures and sounds to HTML: everything escaped, everything inside."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

from pyro_vrnn.report.lines import Panel, curves
from pyro_vrnn.report.looks import STYLE


class Table(NamedTuple):
    """Rows of cells.

    Attributes:
        headings: Of the columns after the first.
        rows: A name, then a cell for each heading.
        caption: What marks and numbers mean, in lines.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


class Picture(NamedTuple):
    """A figure.

    Attributes:
        title: Below it.
        alternative: What is to be seen, for those who do not.
        png: The file.
    """

    title: str
    alternative: str
    png: bytes


class Piece(NamedTuple):
    """Something to hear or to look at, real or made.

    Attributes:
        title: What it is.
        words: How it came about.
        drawing: An SVG element: a waveform, or ink.
        wav: A file; none of ink.
    """

    title: str
    words: str
    drawing: str
    wav: bytes | None = None


class Details(NamedTuple):
    """Text of many lines, folded away."""

    title: str
    text: str


@dataclass(frozen=True)
class Page:
    """What a report holds; what is empty is left out.

    Attributes:
        title: The run's name.
        summary: What was trained on what, in a sentence.
        facts: In pairs.
        results: The closing table.
        lines: What else there is to say of the results.
        warnings: What a reader must not miss.
        panels: Curves.
        pieces: To hear or look at.
        pieces_note: About all of them.
        pictures: Figures.
        measures: Table below the figures.
        details: Folded away.
        footer: The last line.
    """

    title: str
    summary: str
    facts: Mapping[str, str]
    results: Table
    lines: Sequence[str] = ()
    warnings: Sequence[str] = ()
    panels: Sequence[Panel] = ()
    pieces: Sequence[Piece] = ()
    pieces_note: str = ""
    pictures: Sequence[Picture] = ()
    measures: Table | None = None
    details: Sequence[Details] = field(default_factory=list)
    footer: str = ""

    def html(self) -> str:
        """The page."""
        heard = any(piece.wav is not None for piece in self.pieces)
        sections = [
            _section("Results", _table(self.results), _paragraphs(self.lines), _warnings(self.warnings)),
            _section("Training", *map(_panel, self.panels)),
            _section("Listen" if heard else "Look", _note(self.pieces_note, self.pieces), _pieces(self.pieces)),
            _section("Figures", *map(_picture, self.pictures)),
            _section("Measures", "" if self.measures is None else _table(self.measures)),
            _section("Run", _facts(self.facts), *map(_details, self.details)),
        ]
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            '<link rel="icon" href="data:,">\n'  # or browsers ask the server for one
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f"<header><h1>{escape(self.title)}</h1><p>{escape(self.summary)}</p></header>\n<main>\n"
            + "\n".join(filter(None, sections))
            + f"\n</main>\n<footer>{escape(self.footer)}</footer>\n</body>\n</html>\n"
        )


def _section(title: str, *parts: str) -> str:
    content = "\n".join(filter(None, parts))
    return f"<section><h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    used = [k for k in range(len(table.headings)) if any(row[k + 1] for row in table.rows)]
    head = "".join(f'<th scope="col">{escape(table.headings[k])}</th>' for k in used)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(row[k + 1])}</td>" for k in used)
        + "</tr>\n"
        for row in table.rows
    )
    caption = "".join(f"<p>{escape(line)}</p>" for line in table.caption.splitlines())
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr><td></td>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
        f'</div>\n<div class="caption">{caption}</div>'
    )


def _paragraphs(lines: Sequence[str]) -> str:
    return "\n".join(f"<p>{escape(line)}</p>" for line in lines)


def _warnings(lines: Sequence[str]) -> str:
    return "\n".join(f'<p class="warning">{escape(line)}</p>' for line in lines)


def _panel(panel: Panel) -> str:
    legend = "".join(f'<span class="key{k}">{escape(line.name)}</span> ' for k, line in enumerate(panel.lines))
    title = f"{escape(panel.title)}, {escape(panel.unit)}"
    return f"<figure>{curves(panel)}<figcaption>{title}: {legend}</figcaption></figure>"


def _note(words: str, pieces: Sequence[Piece]) -> str:
    return f"<p>{escape(words)}</p>" if words and pieces else ""


def _pieces(pieces: Sequence[Piece]) -> str:
    if not pieces:
        return ""
    return '<div class="pieces">' + "\n".join(map(_piece, pieces)) + "</div>"


def _piece(piece: Piece) -> str:
    sound = ""
    if piece.wav is not None:
        source = f'src="{_inside("audio/wav", piece.wav)}"'
        sound = f'<audio controls preload="metadata" aria-label="{escape(piece.title)}" {source}></audio>'
    words = f"<b>{escape(piece.title)}</b> {escape(piece.words)}"
    return f'<figure class="piece">{piece.drawing}{sound}<figcaption>{words}</figcaption></figure>'


def _picture(picture: Picture) -> str:
    image = f'<img src="{_inside("image/png", picture.png)}" alt="{escape(picture.alternative)}">'
    return f"<figure>{image}<figcaption>{escape(picture.title)}</figcaption></figure>"


def _facts(facts: Mapping[str, str]) -> str:
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{_breaks(value)}</dd>\n" for name, value in facts.items())
    return f"<dl>{pairs}</dl>" if pairs else ""


def _breaks(text: str) -> str:
    return "<br>".join(map(escape, text.splitlines()))


def _details(details: Details) -> str:
    return f"<details><summary>{escape(details.title)}</summary><pre>{escape(details.text)}</pre></details>"


def _inside(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
