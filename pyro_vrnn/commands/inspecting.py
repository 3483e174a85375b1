"""What ``data inspect`` does: look at every value once, print, draw, write."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pyro_vrnn.commands import display
from pyro_vrnn.commands.subject import Told, progress
from pyro_vrnn.data import DataOptions, Normaliser, Sequences, load, read
from pyro_vrnn.data.inspection import Inspection, by_itself, inspect
from pyro_vrnn.data.kinds import WORDS
from pyro_vrnn.data.prepared.manifest import is_prepared
from pyro_vrnn.data.prepared.manifest import verify as check_bytes
from pyro_vrnn.data.splits import TooFewError
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.training import config
from pyro_vrnn.training.files import one_line, write_whole

#: What ``--out`` receives.
NUMBERS, FIGURE = "inspection.json", "inspection.png"
#: Lines of a corpus that the tables say better.
TOLD = ("warning", "train:", "validation:", "test:")
#: Quantities that are printed; arrays may have hundreds of values a row.
MOST = 16


def run(given: Mapping[str, Any], *, out: Path | None, seed: int, verify: bool = False) -> Inspection:
    """Looks at a source.

    Args:
        given: Options of the data room, ``source`` among them.
        out: The folder for numbers and figure; None prints alone.
        seed: Of the split, and of the choice of what is drawn.
        verify: Read every byte of a prepared cache before, and compare checksums.

    Returns:
        What was found.

    Raises:
        UserError: Anything a user can mend.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigurationError(f"--out {out}: a file; expected a folder, which is made where it is missing")
    options = config.read(None, {"data": dict(given)}).data
    console = display.console()
    if verify:
        if not is_prepared(options.source):
            raise ConfigurationError(f"--verify: {options.source} is no prepared cache; leave it out")
        check_bytes(options.source)
        console.print(f"{options.source}: every byte is as it was prepared")
    with progress(console) as told:
        parts, lsb, lossless, lines = _opened(options, seed, told)
        found = inspect(parts, lsb, lossless=lossless, seed=seed)
    for line in lines:
        console.print(line)
    _print(console, found, options.source)
    if out is not None:
        _write(out, found, options.source, lines)
        console.print(f"{out / FIGURE} and {out / NUMBERS} written")
    return found


#: Sequences by part, one step of their grid, whether they are exactly on it, and what is said of the source.
Opened = tuple[Mapping[str, Sequences], float | None, bool, list[str]]


def _opened(options: DataOptions, seed: int, told: Told) -> Opened:
    """A source in its parts; one file, or too little for parts, as a whole."""
    if not Path(options.source).expanduser().is_file():
        try:
            corpus = load(options, seed=seed, progress=told)
        except TooFewError:
            pass
        else:
            said = [line for line in corpus.lines() if not line.startswith(TOLD)]
            return corpus.parts, corpus.lsb, corpus.lossless, said
    unsplit = read(options, Normaliser(0.0, 1.0), seed=seed, progress=told)
    said = [f"skipped: {path} ({reason})" for path, reason in unsplit.skipped]
    return {"all": by_itself(unsplit.sequences)}, unsplit.lsb, unsplit.lossless, said


def _print(out: Console, found: Inspection, source: str) -> None:
    table = Table(box=box.SIMPLE_HEAD, title=source, title_justify="left")
    for heading in ("", "unit", "min", "5 %", "median", "95 %", "max", "mean"):
        table.add_column(heading, justify="left" if heading in ("", "unit") else "right", no_wrap=True)
    quantities = list(found.findings.quantities.values())
    for q in [found.lengths, *quantities[:MOST]]:
        table.add_row(q.name, q.unit, *map(_short, (q.low, q.q05, q.median, q.q95, q.high, q.mean)))
    out.print(table)
    if len(quantities) > MOST:
        out.print(f"... and {len(quantities) - MOST} quantities more (all of them are in {NUMBERS}: pass --out)")
    out.print(_parts(found))
    for share in found.findings.shares.values():
        out.print(f"{share.share:8.3%} of {share.total} {share.things}: {share.name}")
    for warning in found.findings.warnings:
        out.print(f"warning: {warning}")


def _parts(found: Inspection) -> Table:
    """How large the parts are; columns of what is unknown are left out."""
    words, each = WORDS[found.kind], found.seconds_per_step
    columns: dict[str, list[str]] = {"part": list(found.parts), "sequences": [], f"{words.frame}s": []}
    for part in found.parts.values():
        steps = int(part.lengths.sum())
        columns["sequences"].append(str(len(part.lengths)))
        columns[f"{words.frame}s"].append(str(steps))
        if each is not None:
            columns.setdefault("minutes", []).append(f"{steps * each / 60:.2f}")
        if part.speakers is not None:
            columns.setdefault(f"{words.speaker}s", []).append(str(len(part.speakers)))
    table = Table(box=box.SIMPLE_HEAD)
    for heading in columns:
        table.add_column(heading, justify="left" if heading == "part" else "right", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _short(number: float) -> str:
    return f"{number:.4g}" if abs(number) < 1e4 else f"{number:.0f}"


def _write(out: Path, found: Inspection, source: str, lines: list[str]) -> None:
    from pyro_vrnn.commands.inspected import panels
    from pyro_vrnn.figures.panels import sheet

    image = BytesIO()
    sheet(panels(found), source).savefig(image, format="png")
    with one_line(out):
        out.mkdir(parents=True, exist_ok=True)
    write_whole(out / FIGURE, image.getvalue())
    numbers = {"source": source, **found.as_dict(), "lines": lines}
    write_whole(out / NUMBERS, (json.dumps(numbers, indent=1) + "\n").encode())
