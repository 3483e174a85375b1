"""`prepare`: a corpus as it is distributed becomes values, an index, a split, statistics and a manifest."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ConfigurationError, DataError
from ..cache import synced
from ..options import DataOptions
from ..recordings import Progress, segment_frames
from ..splits import check_options
from .corpora import Plan, Recipe, recipe_of
from .finishing import finish
from .job import Job
from .manifest import VERSION, Manifest, digest_of, is_prepared, read_manifest
from .parting import SPLITTING
from .reading import Listed, Task, read_file
from .running import Map, processes
from .sound import look_at
from .source import changes, find, is_text, shown
from .work import Work

TOLD = "told"  # of what is asked: the digest of what side files say of the files that are used
KEPT = ("frame", "sample_rate", "resample", "mix", "segment", *SPLITTING)


class Prepared(NamedTuple):
    """A prepared corpus.

    Attributes:
        manifest: What it says of itself.
        found: Whether it was there already.
        resumed: Files that earlier calls had read.
        began_anew: Whether unfinished work was thrown away, because the source or the options have changed since.
    """

    manifest: Manifest
    found: bool
    resumed: int
    began_anew: bool


def prepare(
    corpus: str,
    options: DataOptions,
    out: Path,
    *,
    own: Mapping[str, Any] | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare a corpus. Killed anywhere and called again it goes on, and gives the same bytes as one go.

    Args:
        corpus: What the source is, one of `CORPORA`.
        options: The source, how it is read and how parts are chosen; what is not given is as the corpus has it.
        out: The folder to make; while it is unfinished it lies beside it, hidden.
        own: Options of the corpus's own.
        seed: Of what is drawn.
        jobs: Processes that read.
        progress: Called with what is being done, how many items are done, and how many there are.

    Raises:
        DataError: Something a user can mend, in one line.
        ConfigurationError: There is no such corpus, or it has no such option.
    """
    recipe, out = recipe_of(corpus), out.absolute()
    own = recipe.complete(own or {}, options)
    told, options = options.source, _complete(corpus, recipe, options)
    _check_place(out, Path(told).expanduser())
    root, plan, files = find(told, recipe, own, seed)
    if plan.drawn is None:
        _check_undrawn(corpus, options, recipe)
    asked = {
        "format": VERSION,
        "corpus": corpus,
        "own": own,
        "seed": seed,
        "cut": plan.drawn == "segments",
        **{name: getattr(options, name) for name in KEPT},
        "list": None if options.test_list is None else digest_of(Path(options.test_list).expanduser()),
        TOLD: _digest(plan),
    }
    if is_prepared(out):
        return Prepared(_there(out, told, root, asked, files), True, 0, False)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(f"--out {out}: exists and is no prepared corpus; choose another name")
    job = Job(corpus, recipe, options, asked, root, plan, files, seed)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Work(out, recipe.kind, {**asked, "files": [list(file) for file in files]})
        with work, processes(jobs) as mapped:
            resumed = len(work.outcomes)
            manifest = _prepare(work, mapped, job, progress)
            _put(work, out)
        shutil.rmtree(work.folder, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"--out {out}: cannot be written ({error.strerror or error}); make room or choose another place, and run "
            "the same command again: what is done stays done"
        ) from None
    return Prepared(manifest, False, resumed, work.began_anew)


def _complete(corpus: str, recipe: Recipe, options: DataOptions) -> DataOptions:
    """The options with the corpus's own defaults where nothing was given."""
    unset = {name: value for name, value in recipe.defaults.items() if name not in options.model_fields_set}
    options = DataOptions.model_validate({**options.model_dump(exclude_unset=True), **unset, "source": options.source})
    if options.dither or options.normaliser != "training":
        flag = "--dither" if options.dither else "--normaliser"
        raise ConfigurationError(f"{flag}: said where a prepared corpus is used, such as `fit`; leave it out")
    if recipe.kind != "audio":
        for name in ("frame", "sample_rate", "resample", "mix", "segment"):
            if name in options.model_fields_set and getattr(options, name):
                raise ConfigurationError(
                    f"--{name.replace('_', '-')}: of sound alone, and {corpus} is none; leave it out"
                )
    if options.split == "speaker" and options.speaker_pattern is None:
        # The corpus or its files may say who speaks: that is known after they were read.
        check_options(options.model_copy(update={"speaker_pattern": "(.)"}))
    else:
        check_options(options)
    return options if options.segment is not None else options.model_copy(update={"segment": 0.0})


def _check_undrawn(corpus: str, options: DataOptions, recipe: Recipe) -> None:
    """See that nothing is asked of parts that are the corpus's own, before anything is read."""
    for name in SPLITTING:
        if name in options.model_fields_set and name not in ("speaker_pattern", *recipe.shares):
            flag = name.replace("_", "-")
            raise DataError(f"--{flag}: {corpus} has parts of its own; leave it out")


def _check_place(out: Path, source: Path) -> None:
    for option, path in (("SOURCE", source.absolute()), ("--out", out)):
        if not is_text(str(path)):
            raise DataError(f"{option} {shown(str(path))}: the name of a folder in it is no UTF-8 text; rename that")
    if source.is_dir() and Path(os.path.realpath(out)).is_relative_to(os.path.realpath(source)):
        raise DataError(f"--out {out}: lies in the source, which is only read; choose a place outside of {source}")


def _there(out: Path, told: str, root: Path, asked: Mapping[str, Any], files: Sequence[Listed]) -> Manifest:
    """The manifest of what is there already, if it is of the same source and the same options."""
    manifest = read_manifest(out, option="--out")
    for name, value in asked.items():
        if name != TOLD and manifest.options.get(name) != value:
            raise DataError(
                f"--out {out}: was prepared with {name} {manifest.options.get(name)!r}, not {value!r}; choose another "
                "name, or remove the folder"
            )
    changed = changes(out, root, files)
    if changed is None and manifest.options.get(TOLD) != asked[TOLD]:
        changed = "its lists, transcripts or tables of speakers say something else of the same files"
    if changed is not None:
        raise DataError(
            f"{told}: has changed since --out {out} was prepared: {changed}; choose another name, or remove the folder"
        )
    return manifest


def _prepare(work: Work, mapped: Map[Any, Any], job: Job, progress: Progress | None) -> Manifest:
    options, recipe = job.options, job.recipe
    sound = look_at(work, mapped, options, job.root, job.files, progress) if recipe.kind == "audio" else None
    rate = None if sound is None else sound.rate
    segment = None if rate is None else segment_frames(options, rate)
    wanted = [file for file in job.files if sound is None or file.name in sound.headers]
    done, cut = len(work.outcomes), job.plan.drawn == "segments"

    def tasks() -> Iterator[Task]:
        for i, file in enumerate(wanted[done:], start=done):
            announced = None if sound is None else sound.headers[file.name]
            yield Task(
                job.root,
                file,
                recipe.kind,
                recipe.read,
                announced,
                rate,
                options.frame,
                segment,
                cut,
                work.parts / str(i),
            )

    for i, outcome in enumerate(mapped(read_file, tasks()), start=done):
        work.add(outcome, work.parts / str(i))
        if progress is not None:
            progress("reading", i + 1, len(wanted))
    return finish(work, job, sound)


def _put(work: Work, out: Path) -> None:
    """See everything on disk and give it its name."""
    for path in (*work.whole.iterdir(), work.whole):
        synced(path)
    if out.exists():
        out.rmdir()  # empty, as was seen
    work.whole.rename(out)
    synced(out.parent)


def _digest(plan: Plan) -> str:
    """Of what the plan says of files beside their names: parts, speakers and transcripts come from side files."""
    return hashlib.sha256(repr((plan.used, plan.drawn)).encode()).hexdigest()
