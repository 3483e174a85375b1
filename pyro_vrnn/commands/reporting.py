"""The report: a run's results, curves, figures and sounds on one page, made by ``fit`` and again by ``analyze``."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyro_vrnn.commands import pieces
from pyro_vrnn.commands.analyzed import Measured, cells_of
from pyro_vrnn.commands.display import ResultsTable
from pyro_vrnn.commands.picturing import Asked, Member, draw
from pyro_vrnn.commands.progress import Told
from pyro_vrnn.errors import TrackingError
from pyro_vrnn.model.variants import ALIASES, VARIANTS
from pyro_vrnn.report import Details, Line, Page, Panel, Picture, Table
from pyro_vrnn.tracking import fetch, history, journalled
from pyro_vrnn.training.files import one_line, whole_folder, write_whole

#: Its name, in a working folder and in the store.
FILE = "report.html"
#: What the report of ``fit`` shows: enough to see, quickly made.
COUNT, SAMPLES = 2, 16
#: What stands on the page of a figure, by the beginning of its name: below it, and for those who do not see it.
WORDS = {
    "figure-2": (
        "Fig. 2: the latents along unseen examples",
        "Three rows on one time axis for each unseen example: how far the latents' mean moves from step to step, the KL"
        " divergence of each step and latent dimension, and the recording itself.",
    ),
    "figure-3-sample": (
        "Fig. 3: real sound, and samples drawn from the emission",
        "Rows of waveforms, zooms into them, spectrograms and long-term spectra of a real recording and of samples.",
    ),
    "figure-3-mean": (
        "Fig. 3: real sound, and means of the emission",
        "Rows of waveforms, zooms into them, spectrograms and long-term spectra of a real recording and of means.",
    ),
    "figure-4": (
        "Fig. 4: real handwriting, and what the model writes",
        "Columns of handwriting, each line to its own scale: real lines on the left, samples of the model beside them.",
    ),
    "measures": (
        "Measures of real and of made sequences",
        "A panel for each measure, with a dot for every sequence; the numbers are in the table.",
    ),
}
#: Facts on the page by the name that a run's provenance has for them.
VERSIONS = ("pyro_vrnn", "torch", "pyro", "mlflow", "python", "platform")


class Run(NamedTuple):
    """What a report says of a run, all of which its artifacts hold.

    Attributes:
        results: ``results.json``.
        config: ``config.toml``.
        history: Steps and values of metrics, by name.
    """

    results: Mapping[str, Any]
    config: str
    history: Mapping[str, Sequence[tuple[int, float]]]

    @classmethod
    def stored(cls, reference: str, uri: str) -> "Run | None":
        """Of a run in the store; None if it keeps no results that a report could be made of.

        Raises:
            TrackingError: If the store cannot be read.
        """
        try:
            results, config = (fetch(reference, name, uri=uri) for name in ("results.json", "config.toml"))
            held = json.loads(results.read_bytes())
        except (TrackingError, ValueError):
            return None
        if "said" not in held:
            return None
        return cls(held, config.read_text(encoding="utf-8"), history(reference, metrics(held), uri=uri))

    @classmethod
    def here(cls, results: Mapping[str, Any], folder: Path, uri: str) -> "Run":
        """Of the run that is being written in this folder, whatever the store does."""
        names = metrics(results)
        try:
            found = history(results["run"], names, uri=uri)
        except TrackingError:
            points = journalled(folder)
            found = {name: [(step, values[name]) for step, values in points if name in values] for name in names}
        return cls(results, (folder / "config.toml").read_text(encoding="utf-8"), found)


def metrics(results: Mapping[str, Any]) -> list[str]:
    """Names of the metrics that become curves."""
    return ["train/bound", f"validation/{results['validated_by']}_per_frame", "train/kl", "train/gradient_norm"]


def said(
    table: ResultsTable, remarks: Sequence[str], data: Sequence[str], device: str, provenance: Mapping[str, str]
) -> dict[str, Any]:
    """What ``results.json`` keeps for a report.

    Args:
        table: The closing table.
        remarks: The lines below it.
        data: What was said of the data.
        device: Its name.
        provenance: Versions, commit and command.
    """
    return {
        "headings": list(table.HEADINGS),
        "rows": [list(row) for row in table.rows],
        "title": table.title,
        "caption": table.caption,
        "remarks": list(remarks),
        "data": list(data),
        "device": device,
        "provenance": dict(provenance),
    }


def page(
    run: Run,
    member: Member,
    made: Sequence[pieces.Made],
    figures: Mapping[str, bytes],
    measured: Sequence[Measured],
) -> str:
    """The page as HTML.

    Args:
        run: What was trained.
        member: The model, and data that it did not see.
        made: To hear or look at.
        figures: PNG files by name.
        measured: Their measures.
    """
    results, own = run.results, run.results["said"]
    name = results["name"]
    pictures = []
    for key, figure in figures.items():
        title, alternative = next(words for start, words in WORDS.items() if key.startswith(start))
        pictures.append(Picture(title, alternative, figure))
    measures = Table(*cells_of(measured, member.kind)) if measured else None
    listed = {each: [list(pair) for pair in results["results"][each].items()] for each in results["results"]}
    return Page(
        title=name,
        summary=_summary(results),
        facts=_facts(run),
        results=Table(own["headings"], own["rows"], f"{own['title']}\n{own['caption']}"),
        lines=own["remarks"],
        warnings=results["warnings"] + ([] if results["completed"] else ["training was ended by Ctrl-C"]),
        panels=_panels(run),
        pieces=[pieces.piece(each, member, name) for each in made],
        pieces_note="Sequences of the test set, and what the model makes of their latents and by itself.",
        pictures=pictures,
        measures=measures,
        details=[Details("Configuration", run.config), Details("Results", json.dumps(listed, indent=1))],
        footer=f"Made by pyro_vrnn {own['provenance'].get('pyro_vrnn', '')}. Run {results['run']}.",
    ).html()


def write(run: Run, member: Member, folder: Path, told: Told, *, seed: int) -> list[Path]:
    """Makes the report of ``fit`` in the run's folder, with figures and sounds or ink as files of their own.

    Args:
        run: What was trained.
        member: The model, and data that it did not see.
        folder: Where.
        told: Told of the progress.
        seed: Of all draws.

    Returns:
        The page and the folders that were written.

    Raises:
        TrackingError: If it cannot be written.
    """
    from pyro_vrnn.figures.files import files

    asked = Asked(folder, count=COUNT, samples=SAMPLES, seed=seed)
    figures, measured = draw([member], asked, told)
    drawn = files(figures)
    made = contents(run, member, asked, {name: drawn[f"{name}.png"] for name in figures}, measured)
    write_whole(folder / FILE, made.pop(FILE))
    written = [folder / FILE]
    for name, held in (("figures", drawn), (pieces.FOLDERS.get(member.kind, ""), made)):
        if held:
            with one_line(folder / name), whole_folder(folder / name) as aside:
                for file, content in held.items():
                    (aside / file).write_bytes(content)
            written.append(folder / name)
    return written


def contents(
    run: Run, member: Member, asked: Asked, figures: Mapping[str, bytes], measured: Sequence[Measured]
) -> dict[str, bytes]:
    """The page, and what it lets one hear or see as files; arguments as of :func:`page`."""
    made = pieces.make(member, asked) if member.kind in pieces.FOLDERS else []
    held = {FILE: page(run, member, made, figures, measured).encode()}
    for each in made:
        held |= dict(pieces.files(each, member, run.results["name"]))
    return held


def _summary(results: Mapping[str, Any]) -> str:
    variant = results["variant"]
    return f"{VARIANTS[ALIASES.get(variant, variant)].summary} ({variant}), trained on {results['data']['name']}."


def _facts(run: Run) -> dict[str, str]:
    results, own = run.results, run.results["said"]
    counts = results["parameters"]
    provenance = own["provenance"]
    commit = provenance.get("mlflow.source.git.commit", "")
    changed = " with changes" if provenance.get("git.dirty") == "true" else ""
    facts = {
        "Run": results["run"],
        "Data": "\n".join(own["data"]),
        "Checksum of the data": results["data"]["checksum"],
        "Parameters": f"{sum(counts.values()):,} ({', '.join(f'{name} {count:,}' for name, count in counts.items())})",
        "Objective": results["objective"],
        "Trained": f"{results['steps']:,} steps; the best validation was after epoch {results['best_epoch']}",
        "Seed": str(results["seed"]),
        "Device": own["device"],
        "Versions": ", ".join(f"{name} {provenance[name]}" for name in VERSIONS if name in provenance),
        "Commit": f"{commit}{changed}" if commit else "",
        "Command": provenance.get("command", ""),
    }
    return {name: value for name, value in facts.items() if value}


def _panels(run: Run) -> list[Panel]:
    bound, validation, kl, norm = metrics(run.results)
    wanted = (
        ("Bound", "nats / frame", {"training": bound, "validation": validation}, False),
        ("KL of the guide from the prior", "nats / frame", {"training": kl}, True),
        ("Norm of the gradient before clipping", "nats / frame", {"training": norm}, True),
    )
    found = []
    for title, unit, names, zero in wanted:
        lines = [
            Line(words, run.history[name])
            for words, name in names.items()
            if any(math.isfinite(value) for _, value in run.history.get(name, ()))
        ]
        if lines:
            found.append(Panel(title, unit, "optimiser steps", lines, zero))
    return found
