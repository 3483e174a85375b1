"""What is made of a source when all of it is read: the split, statistics, the index and the manifest."""

import hashlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import soxr

from ... import __version__
from ...errors import DataError
from ..audio import Grid
from ..recordings import common_grid
from ..statistics import Moments, merged
from .corpora import Used
from .job import Job
from .manifest import FORMAT, HEADER, INDEX, MANIFEST, SOURCES, VALUES, VERSION, Contained, Manifest, digest_of, header
from .parting import counted, parts_of, speakers_of
from .reading import Entry, Outcome
from .sound import Sound
from .source import write_sources
from .work import Work

INDEX_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("start", pa.int64()),
        ("rows", pa.int64()),
        ("part", pa.dictionary(pa.int8(), pa.string())),
        ("speaker", pa.dictionary(pa.int32(), pa.string())),
        ("text", pa.string()),
    ]
)


def finish(work: Work, job: Job, sound: Sound | None) -> Manifest:
    """Write all files of the prepared corpus but its name.

    Raises:
        DataError: Nothing can be used, or it cannot be split or standardised.
    """
    recipe, options, plan = job.recipe, job.options, job.plan
    by_name = {used.name: used for used in plan.used}
    pairs = [(entry, by_name[outcome.name]) for outcome in work.outcomes for entry in outcome.entries]
    skipped = [*map(tuple, plan.skipped), *(() if sound is None else sound.unusable)]
    skipped = sorted([*skipped, *(one for outcome in work.outcomes for one in outcome.skipped)])
    if not pairs:
        first = skipped[0]
        raise DataError(f"{options.source}: nothing is usable, first {first[0]}: {first[1]}")
    entries, own_files = [entry for entry, _ in pairs], [file for _, file in pairs]
    speakers = speakers_of(entries, own_files, options)
    parts = parts_of(entries, own_files, speakers, plan, options, seed=job.seed, skipped={name for name, _ in skipped})
    statistics = _statistics(entries, parts, options.source)
    grid = _grid(work, sound)
    frame = options.frame if recipe.kind == "audio" else work.width
    shape = [work.values] if recipe.kind == "audio" else [work.values // frame, frame]
    work.finish(header(work.dtype, tuple(shape)))
    digests = {outcome.name: outcome.digest for outcome in work.outcomes}
    used = {outcome.name for outcome in work.outcomes if outcome.entries}
    _write_index(work.whole / INDEX, entries, own_files, speakers, parts)
    write_sources(work.whole / SOURCES, job.files, digests, used)
    contained = {
        name: Contained(size=(work.whole / name).stat().st_size, sha256=digest_of(work.whole / name))
        for name in (INDEX, SOURCES)
    }
    contained[VALUES] = Contained(
        size=HEADER + work.values * np.dtype(work.dtype).itemsize, sha256=work.digest.hexdigest()
    )
    each = frame if recipe.kind == "audio" else 1
    manifest = Manifest(
        format=FORMAT,
        version=VERSION,
        kind=recipe.kind,
        corpus=job.corpus,
        source=str(job.root.absolute()),
        options=job.asked,
        sample_rate=None if sound is None else sound.rate,
        frame=frame,
        segment=options.segment or 0.0,
        dtype=work.dtype,
        shape=shape,
        lsb=grid.lsb,
        lossless=grid.lossless,
        undithered=sound.undithered if sound is not None else None if grid.lsb is not None else "its values are floats",
        statistics=[tuple(one) for one in statistics],
        counts={
            "recordings": len(entries),
            **counted(entries, parts),
            "dropped": sum(entry.rows - entry.frames * each for entry in entries),
            "constant_clips": sum(entry.flat for entry in entries),
            "constant_frames": sum(entry.constant for entry in entries),
        },
        speakers=None if speakers is None else len({one for one in speakers if one}),
        skipped=skipped,
        notes=list(plan.notes),
        source_checksum=_source_checksum(work.outcomes),
        checksum="",
        versions={
            "pyro_vrnn": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "soundfile": soundfile.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
            "soxr": soxr.__version__,
            "pyarrow": pa.__version__,
        },
        files=contained,
    )
    manifest = manifest.model_copy(update={"checksum": manifest.seen()})
    (work.whole / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return manifest


def _statistics(entries: Sequence[Entry], parts: Sequence[str], source: str) -> list[Moments]:
    totals: list[Moments] = []
    for entry, part in zip(entries, parts, strict=True):
        if part == "train":
            totals = merged(totals, [Moments(*one) for one in entry.moments])
    flat = next((i for i, one in enumerate(totals) if not one.squares > 0), None)
    if flat is not None:
        which = "" if len(totals) == 1 else f" in value {flat + 1} of {len(totals)}"
        raise DataError(
            f"{source}: the training part is constant{which} (digital silence, if it is sound); expected "
            "values that vary"
        )
    return totals


def _grid(work: Work, sound: Sound | None) -> Grid:
    if sound is not None:
        used = {outcome.name for outcome in work.outcomes if outcome.entries}
        return common_grid([header for name, header in sound.headers.items() if name in used], sound.rate)
    return Grid(None, False, np.float32) if work.dtype == "float32" else Grid(1.0, True, np.int16)


def _write_index(
    path: Path,
    entries: Sequence[Entry],
    files: Sequence[Used],
    speakers: Sequence[str | None] | None,
    parts: Sequence[str],
) -> None:
    rows = np.array([entry.rows for entry in entries], np.int64)
    columns = {
        "name": [entry.name for entry in entries],
        "start": np.concatenate([[0], np.cumsum(rows)[:-1]]),
        "rows": rows,
        "part": pa.array(parts).dictionary_encode().cast(INDEX_SCHEMA.field("part").type),
        "speaker": pa.array(speakers or [None] * len(entries), pa.string()).dictionary_encode(),
        "text": [
            file.text if file.text is not None else entry.text for entry, file in zip(entries, files, strict=True)
        ],
    }
    pq.write_table(pa.table(columns, schema=INDEX_SCHEMA), path)


def _source_checksum(outcomes: Sequence[Outcome]) -> str:
    """As `Recordings.checksum`."""
    digest = hashlib.sha256()
    for outcome in outcomes:
        if outcome.entries:
            digest.update(os.fsencode(outcome.name) + b"\0" + bytes.fromhex(outcome.digest))
    return digest.hexdigest()
