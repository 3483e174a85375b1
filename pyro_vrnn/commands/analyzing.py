"""What ``analyze`` does: load, follow, draw, measure, keep."""

import json
from collections import Counter as Counting
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_vrnn import __version__
from pyro_vrnn.commands import display, reporting
from pyro_vrnn.commands.analyzed import UNITS, Measured, rows, table
from pyro_vrnn.commands.picturing import Asked, Member, draw
from pyro_vrnn.commands.prefixes import prefix
from pyro_vrnn.commands.progress import Told, progress
from pyro_vrnn.commands.subject import open_model, subject_of
from pyro_vrnn.commands.tables import write_table
from pyro_vrnn.data import KINDS
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.latents import LatentUse, latent_use
from pyro_vrnn.tracking import find_run, log_results, tracking_uri
from pyro_vrnn.training.files import one_line, write_whole
from pyro_vrnn.training.saving import TrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Analysis(NamedTuple):
    """What was found.

    Attributes:
        kind: Of the data.
        figures: By the names of their files, without an ending.
        measured: Real samples, then those of each model; empty for rows of numbers, which nothing measures.
        uses: What the latents carry, by model.
    """

    kind: str
    figures: "dict[str, Figure]"
    measured: list[Measured]
    uses: dict[str, LatentUse]


def run(references: Sequence[str], given: dict[str, dict[str, Any]], asked: Asked) -> Analysis:
    """Analyses models side by side, prints what was found and keeps it.

    Args:
        references: Runs or model folders.
        given: Options by room.
        asked: All others.

    Returns:
        What was found.

    Raises:
        UserError: Anything a user can mend; then nothing is written.
    """
    from pyro_vrnn.figures.files import files

    console, options = display.console(), given.get("data", {})
    if asked.out.exists() and not asked.out.is_dir():
        raise ConfigurationError(f"--out {asked.out}: a file; expected the name of a folder")
    if asked.part is not None and "source" in options:
        raise ConfigurationError(f"--split {asked.part}: beside --data all of that is read; leave one of them out")
    uri, part = tracking_uri(given.get("tracking", {}).get("uri")), asked.part or "test"
    opened = [open_model(reference, uri, asked.device) for reference in references]
    models = [trained for trained, _ in opened]
    _check_alike(references, models)
    names = _names(references, models)
    with progress(console) as told:
        subjects = [subject_of(trained, options, part=part, seed=asked.seed, told=told) for trained in models]
        members = [Member(*each) for each in zip(names, models, subjects, strict=True)]
        found = analyze(members, asked, told)
        # The page is of one run and what it did not see.
        whole = len(opened) == 1 and opened[0][1] and part == "test" and "source" not in options
        reported = reporting.Run.stored(references[0], uri) if whole else None
        contents, report = files(found.figures), {}
        if reported is not None:
            drawn = {name: contents[f"{name}.png"] for name in found.figures}
            report = reporting.contents(reported, members[0], asked, drawn, found.measured)
    console.print(subjects[0].title)
    for name, use in found.uses.items():
        console.print(f"{name}: {use.line()}")
    for name in names:
        if name not in found.uses:
            console.print(f"{name}: no latents, so no Fig. 2")
    if found.measured:
        console.print(table(found.measured, found.kind, "measures of real samples and of what models make"))
    for each in found.measured:
        if each.unusable:
            console.print(f"warning: {each.title}: {each.unusable} samples are not finite and were left out")
        if each.clipped:
            console.print(f"warning: {each.title}: {each.clipped} values outside of [-1, 1) were clipped")
    record = {
        "runs": [
            {
                "name": name,
                "model": reference,
                "run": find_run(reference, uri=uri).id if tracked else None,
                "variant": trained.config.model.variant,
                "latents": found.uses[name].as_dict() if name in found.uses else None,
            }
            for name, reference, (trained, tracked) in zip(names, references, opened, strict=True)
        ],
        "data": subjects[0].described,
        "part": None if "source" in options else part,
        "seed": asked.seed,
        "seconds": asked.seconds if found.kind == "audio" else None,
        "version": __version__,
        "units": {name: list(unit) for name, unit in UNITS.get(found.kind, {}).items()},
        "measured": [each.as_dict() for each in found.measured],
    }
    contents |= _numbers(found, record)
    page = report.pop(reporting.FILE, None)
    contents |= report
    with one_line(asked.out):
        asked.out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_whole(asked.out / name, content)
    if page is not None:
        write_whole(asked.out / reporting.FILE, page)
    console.print(f"{len(contents)} files in {asked.out}: {', '.join(contents)}")
    for name, reference, (_, tracked) in zip(names, references, opened, strict=True):
        if tracked:
            metrics = _metrics(found.measured, name, prefix(part, options))
            log_results(reference, metrics, [asked.out / file for file in contents], uri=uri, under="analysis")
            console.print(f"kept with run {reference} under analysis/")
    if page is not None:
        log_results(references[0], {}, [asked.out / reporting.FILE], uri=uri)
        console.print(f"{'report:':<12} {asked.out / reporting.FILE}")
    return found


def analyze(members: Sequence[Member], asked: Asked, told: Told = lambda what, done, total: None) -> Analysis:
    """Fig. 2 of each model with latents; Fig. 3 or 4 over real data and all models, with measures.

    Args:
        members: At least one, all of the same kind of data, frame and rate; the first one's data are the real ones.
        asked: How much of it.
        told: Told of the progress.
    """
    uses = {
        member.name: latent_use(member.trained.net, member.subject.batches(64), seed=asked.seed)
        for member in members
        if member.trained.net.has_latents
    }
    figures, measured = draw(members, asked, told)
    return Analysis(members[0].kind, figures, measured, uses)


def _check_alike(references: Sequence[str], models: Sequence[TrainedModel]) -> None:
    first = models[0].data
    for reference, trained in zip(references, models, strict=True):
        kind = trained.data.get("kind", "audio")
        if kind != first.get("kind", "audio"):
            raise ConfigurationError(
                f"{reference}: trained on {KINDS[kind]}, but {references[0]} on {KINDS[first.get('kind', 'audio')]};"
                " pass runs of the same kind of data"
            )
        for name, words in (("frame", "values a frame"), ("sample_rate", "Hz")):
            if trained.data[name] != first[name]:
                raise ConfigurationError(
                    f"{reference}: trained with {trained.data[name]} {words}, but {references[0]} with {first[name]};"
                    " pass runs with the same"
                )


def _names(references: Sequence[str], models: Sequence[TrainedModel]) -> list[str]:
    """Of the variants, and where that is not enough of the references."""
    variants = [trained.config.model.variant for trained in models]
    counts = Counting(variants)
    both = zip(variants, references, strict=True)
    names = [variant if counts[variant] == 1 else f"{variant} {Path(reference).name}" for variant, reference in both]
    return [name if names.count(name) == 1 else f"{name} ({k + 1})" for k, name in enumerate(names)]


def _metrics(found: Sequence[Measured], name: str, begin: str) -> dict[str, float]:
    return {
        f"{begin}/{each.written}_{measure}": value
        for each in found
        if each.source == name
        for measure, numbers in each.summary().items()
        if (value := numbers["median"]) is not None
    }


def _numbers(found: Analysis, record: Mapping[str, Any]) -> dict[str, bytes]:
    held = {"analysis.json": json.dumps(record, indent=1).encode()}
    if found.measured:
        with TemporaryDirectory() as aside:
            write_table(Path(aside) / "analysis.csv", rows(found.measured))
            held["analysis.csv"] = (Path(aside) / "analysis.csv").read_bytes()
    return held
