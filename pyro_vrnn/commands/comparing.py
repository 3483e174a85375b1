"""What ``compare`` does: collect runs, make a table of them, print or write it."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyro_vrnn.commands import display
from pyro_vrnn.commands.subject import check_file
from pyro_vrnn.comparison import trials as tables
from pyro_vrnn.comparison.formats import Piece, Sheet, comma_separated, latex, markdown, sheets, text
from pyro_vrnn.comparison.runs import collect
from pyro_vrnn.comparison.table import blocks
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.tracking import tracking_uri
from pyro_vrnn.training.files import write_whole

#: What a file's ending says of its form.
ENDINGS = {".md": "markdown", ".tex": "latex", ".csv": "csv"}

#: Letters in a line of a column's heading.
HEADING = 16


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    runs: tuple[str, ...]
    parent: str | None
    trials: bool
    experiment: str | None
    form: str | None
    layout: str
    units: str
    out: Path | None
    uri: str | None


def run(asked: Asked) -> None:
    """Prints or writes the table.

    Raises:
        UserError: If there is nothing to compare, or a store or file that cannot be used.
    """
    chosen = {"RUN": asked.runs, "--parent": asked.parent, "--experiment": asked.experiment}
    named = [name for name, value in chosen.items() if value]
    if len(named) > 1:
        raise ConfigurationError(f"compare: {' and '.join(named)} both say which runs; pass one of them")
    if asked.out is not None:
        check_file("--out", asked.out)
    form = asked.form or ("rich" if asked.out is None else ENDINGS.get(asked.out.suffix.lower(), "rich"))
    if asked.trials:
        if asked.parent is None:
            raise ConfigurationError("--trials: whose? pass --parent with the run of the search")
        trials, how = tables.collect_trials(asked.parent, uri=tracking_uri(asked.uri))
        _put([tables.sheet(trials, how)], lambda: tables.comma_separated(trials), form, asked.out)
        return
    runs, remarks = collect(asked.runs, asked.parent, asked.experiment, uri=tracking_uri(asked.uri))
    found = blocks(runs, asked.units, layout=asked.layout)
    if not any(cell for block in found for row in block.rows for cell in row.cells):
        raise ConfigurationError("--units bits: the data have no integer grid; compare in nats")
    pages = sheets(found, asked.units, asked.layout, display.words, remarks)
    _put(pages, lambda: comma_separated(found, asked.units), form, asked.out)


def _put(pages: list[Sheet], commas: Callable[[], str], form: str, out: Path | None) -> None:
    """Prints tables, or writes them to a file."""
    if form == "rich" and out is None:
        _draw(pages, display.console())
        return
    if form == "rich":
        page = io.StringIO()
        _draw(pages, Console(file=page, width=200, highlight=False, markup=False, soft_wrap=True))
        words = page.getvalue()
    elif form == "csv":
        words = commas()
    else:
        words = {"markdown": markdown, "latex": latex}[form](pages)
    if out is None:
        click.echo(words, nl=False)
    else:
        write_whole(out, words.encode())


def _draw(pages: list[Sheet], out: Console) -> None:
    for sheet in pages:
        for at, columns in enumerate(_that_fit(sheet, out)):
            table = _table(sheet, columns)
            table.title = sheet.title if at == 0 else None
            out.print(table)
        for line in sheet.remarks:
            out.print(line)


def _that_fit(sheet: Sheet, out: Console) -> list[list[int]]:
    """Columns of the tables that a sheet is cut into where it is too wide; each begins with the rows' names."""
    parts: list[list[int]] = [[0]]
    for column in range(1, len(sheet.header)):
        wider = out.measure(_table(sheet, [*parts[-1], column]), options=out.options.update(width=10_000)).maximum
        if wider > out.width and len(parts[-1]) > 1:
            parts.append([0])
        parts[-1].append(column)
    return parts


def _table(sheet: Sheet, columns: list[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        widest = max((len(_plain(row[column])) for row in sheet.rows), default=0)
        heading = "\n".join(wrap(sheet.header[column], max(HEADING, widest))) if column else sheet.header[column]
        table.add_column(heading, justify="right" if column else "left", no_wrap=True)
    for row in sheet.rows:
        entries = [row[column] for column in columns]
        if not any(entries[1:]):  # all of it stands in another part
            continue
        table.add_row(*(entry if isinstance(entry, str) else _numbers(entry) for entry in entries))
    return table


def _plain(entry: str | tuple[Piece, ...]) -> str:
    return entry if isinstance(entry, str) else text(entry)


def _numbers(entry: tuple[Piece, ...]) -> Text:
    return Text(text([piece._replace(number=piece.number + "*" * piece.best) for piece in entry]))
