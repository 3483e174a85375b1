"""What ``evaluate``, ``score`` and ``encode`` share: the model, and recordings standardised as it was trained."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyro_vrnn.commands.integers import check_integers
from pyro_vrnn.commands.progress import Told
from pyro_vrnn.commands.tables import Columns
from pyro_vrnn.data import (
    EMBEDDED,
    KINDS,
    WORDS,
    DataOptions,
    Joined,
    Kind,
    Normaliser,
    Sequences,
    groups,
    load,
    look,
    read,
    runs,
    scoring_batches,
    std_in_steps,
)
from pyro_vrnn.errors import ConfigurationError, DataError
from pyro_vrnn.inference.encode import Encoded, FrameScores
from pyro_vrnn.inference.estimators import Batch
from pyro_vrnn.inference.pieces import LONGEST, STEPS
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.loading import find_model
from pyro_vrnn.tracking import is_address
from pyro_vrnn.training import config
from pyro_vrnn.training.device import device_named
from pyro_vrnn.training.saving import TrainedModel, load_model

#: Frames of the short sequences that wait for each other to be put in order.
WINDOW = 8192
#: Rows that are written to a table at once: as many as a row group of Parquet should have.
ROWS = 4096

Part = TypeVar("Part", Encoded, FrameScores)


@dataclass(frozen=True)
class Subject:
    """What is scored.

    Attributes:
        sequences: Standardised as the model was trained.
        scale: Units.
        title: What it is, in words.
        described: The same for a results file.
        lossless: Whether the stored samples are known to be the source's own integers.
        references: Nats of each sequence under the process that made the data, by name.
    """

    sequences: Sequences
    scale: Scale
    title: str
    described: dict[str, Any]
    lossless: bool
    references: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        """Names of the sequences as text: those of files may hold bytes that are none."""
        return [name.encode("utf-8", "backslashreplace").decode() for name in self.sequences.names]

    @property
    def seconds(self) -> NDArray[np.float64] | None:
        """Durations of the sequences, ``(N,)``; None where values have no rate."""
        each = self.seconds_per_frame
        return None if each is None else np.asarray(self.sequences.lengths * each, np.float64)

    @property
    def seconds_per_frame(self) -> float | None:
        """Duration of a frame; None where values have no rate."""
        rate = self.sequences.sample_rate
        return None if rate is None else self.sequences.frame / rate

    def batches(self, most: int, joined: Joined | None = None) -> Iterator[Batch]:
        """All sequences, sorted by length, in batches of at most so many; long ones alone and read in pieces.

        Args:
            most: Sequences in a batch.
            joined: Groups of them, which are batched instead.
        """
        return _batches(self.sequences if joined is None else joined, most)

    def carried(self, carry: int | None) -> Joined:
        """Groups of so many successive segments of a recording, or of all; each is one sequence."""
        return Joined(self.sequences, groups(runs(self.sequences), carry))

    def in_order(self, work: Callable[[Iterator[Batch]], Iterator[Part]]) -> Iterator[Part]:
        """What ``work`` makes of all sequences, in their order.

        Short ones are batched by length with their neighbours and wait for each other; what is made of a long one is
        given as it comes.
        """
        for together in windows(self.sequences.lengths):
            found = work(_batches(self.sequences[together.start : together.stop], WINDOW, first=together.start))
            yield from found if len(together) == 1 else sorted(found, key=lambda part: part.sequence)

    @property
    def place_columns(self) -> Columns:
        """What the columns of :meth:`places` hold."""
        return PLACES | ({} if self.seconds_per_frame is None else TIME)

    def places(self, parts: Iterable[FrameScores | Encoded]) -> dict[str, NDArray[Any]]:
        """Columns that say which frame a row is: sequence, frame, and time of its start in seconds if it has one."""
        names, counts = self.names, [(part, len(part[-1])) for part in parts]
        frames = np.concatenate([np.arange(part.start, part.start + rows) for part, rows in counts])
        sequences = np.concatenate([np.full(rows, names[part.sequence], object) for part, rows in counts])
        each = self.seconds_per_frame
        return {"sequence": sequences, "frame": frames} | ({} if each is None else {"time": frames * each})


#: What the columns of :meth:`Subject.places` hold, always and where frames have a time.
PLACES: dict[str, Any] = {"sequence": str, "frame": np.int64}
TIME: dict[str, Any] = {"time": np.float64}


def open_model(reference: str, uri: str, device: str) -> tuple[TrainedModel, bool]:
    """A trained model on its device, and whether a run keeps it (else it is a folder).

    Raises:
        UserError: If there is no such device or model.
    """
    where = device_named(device)
    folder = find_model(reference, uri)
    trained = load_model(folder)
    trained.net.to(where)
    return trained, folder != Path(reference) and not is_address(reference)


def subject_of(
    trained: TrainedModel, given: Mapping[str, Any], *, part: str = "test", seed: int, told: Told | None = None
) -> Subject:
    """A part of the model's own data, or with ``source`` among the options all of another's.

    Args:
        trained: The model.
        given: Options of the data room, as they were given.
        part: Which part of its own data.
        seed: Of the noise, which is also that of other data's dither.
        told: Told of the progress.

    Raises:
        UserError: If they cannot be read, or do not fit the model.
    """
    return _others(trained, given, seed, told) if "source" in given else _own(trained, given, part, told)


def check_file(flag: str, path: Path) -> None:
    """Sees that a file can be made, before hours of work.

    Raises:
        ConfigurationError: If its folder is missing, or it is one.
    """
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"{flag} {path}: the folder {path.absolute().parent} does not exist; make it first")
    if path.is_dir():
        raise ConfigurationError(f"{flag} {path}: a folder; expected the name of a file")


def windows(lengths: NDArray[np.int64]) -> Iterator[range]:
    """Successive sequences that are put in order together; a long one is alone."""
    start = 0
    while start < len(lengths):
        stop, frames = start + 1, lengths[start]
        while stop < len(lengths) and max(frames, lengths[stop]) <= LONGEST and frames + lengths[stop] <= WINDOW:
            frames, stop = frames + lengths[stop], stop + 1
        yield range(start, stop)
        start = stop


def blocks(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts with about :data:`ROWS` frames together."""
    block, rows = list[Part](), 0
    for part in parts:
        block.append(part)
        rows += len(part[-1])
        if rows >= ROWS:
            yield block
            block, rows = [], 0
    if block:
        yield block


def _batches(sequences: Sequences | Joined, most: int, *, first: int = 0) -> Iterator[Batch]:
    """Batches whose indices begin at ``first``, of not more frames than one pass of an estimator takes."""
    short = sequences.lengths[sequences.lengths <= LONGEST]
    rows = max(1, min(most, STEPS // int(short.max(initial=1))))
    for x, mask, indices in scoring_batches(sequences, rows, LONGEST):
        yield x, mask, indices + first


def _own(trained: TrainedModel, given: Mapping[str, Any], part: str, told: Told | None) -> Subject:
    own, data = trained.config.data, trained.data
    if given:
        name, value = sorted(given.items())[0]
        flag = "no-dither" if name == "dither" and not value else name.replace("_", "-")
        raise ConfigurationError(f"--{flag}: only beside --data; a run's own data are fixed")
    try:
        corpus = load(own, seed=trained.config.training.seed, progress=told)
    except DataError:
        if own.source in EMBEDDED or Path(own.source).expanduser().exists():
            raise
        raise DataError(
            f"{own.source}: what the run was trained on is not there any more; put it back (a prepared corpus: prepare"
            " it again under that name), or pass --data"
        ) from None
    if corpus.checksum != data["checksum"]:
        raise DataError(
            f"{own.source}: its files are not those the run was trained on (checksum {corpus.checksum[:12]},"
            f" expected {data['checksum'][:12]}); pass --data {own.source} to score what is there now"
        )
    corpus = corpus.with_normaliser(_normaliser(trained))
    sequences = getattr(corpus, part)
    return Subject(
        sequences,
        Scale(corpus.width, corpus.std_lsb, own.dither),
        f"{part} part of {own.source}: {len(sequences)} sequences{_dithered(own)}",
        {"source": own.source, "checksum": corpus.checksum, "dither": own.dither},
        corpus.lossless,
        corpus.references if part == "test" else {},
    )


def _others(trained: TrainedModel, given: Mapping[str, Any], seed: int, told: Told | None) -> Subject:
    data = trained.data
    own = trained.config.data
    as_trained = {name: data[name] for name in ("frame", "sample_rate")}
    as_trained |= {"dither": own.dither, "normaliser": own.normaliser}
    options = config.read(None, {"data": {**as_trained, **given}}).data
    trained_on: Kind = data.get("kind") or look(own).kind  # models stored before there were kinds
    kind, frame = look(options)
    if kind != trained_on:
        raise ConfigurationError(
            f"--data {options.source}: {KINDS[kind]}, but the model was trained on {KINDS[trained_on]}; "
            "pass data of that kind"
        )
    if frame != data["frame"]:
        words = WORDS[kind]
        raise ConfigurationError(
            f"--frame {options.frame}: the model has frames of {data['frame']} samples"
            if kind == "audio"
            else f"--data {options.source}: {words.frame}s of {frame} values, but the model has {data['frame']}"
        )
    if options.sample_rate != data["sample_rate"]:
        raise ConfigurationError(
            f"--sample-rate {options.sample_rate}: the model was trained at {data['sample_rate']} Hz;"
            " leave it out, and pass --resample to convert the files"
        )
    try:
        found = read(options, _normaliser(trained), seed=seed, progress=told)
    except DataError as error:
        if options.dither and "dither" not in given and "--dither" in str(error):
            raise DataError(f"{error} (as it is by default, the model was trained with it): pass --no-dither") from None
        raise
    sequences = found.sequences
    check_integers(trained, options.source, found.lsb, found.lossless, options.dither, sequences)
    count = f"{options.source}: {len(sequences)} sequences{_dithered(options)}"
    return Subject(
        sequences,
        Scale(sequences.width, std_in_steps(sequences.normaliser, found.lsb, sequences.width), options.dither),
        count + (f", {len(found.skipped)} files skipped" if found.skipped else ""),
        {
            "source": options.source,
            "dither": options.dither,
            "skipped": [[str(entry) for entry in item] for item in found.skipped],
        },
        found.lossless,
    )


def _normaliser(trained: TrainedModel) -> Normaliser:
    return Normaliser(trained.data["mean"], trained.data["std"])


def _dithered(options: DataOptions) -> str:
    return ", dithered" if options.dither else ""
