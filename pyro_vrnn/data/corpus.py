"""From a source's name to three parts of standardised sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from . import linear_gaussian
from .dither import Dither
from .options import EMBEDDED, LINEAR_GAUSSIAN, DataOptions
from .recordings import Progress, Recordings, Skipped, read_recordings, segment_frames
from .sequences import Normaliser, Sequences
from .splits import check_options, find_speakers, split_names
from .statistics import moments


@dataclass(frozen=True)
class Corpus:
    """Recordings in three parts, standardised by the statistics of the training part.

    Attributes:
        name: The embedded set's name or the folder.
        sample_rate: Rate in Hz; of a simulated set one frame a second.
        frame: Samples a frame.
        lsb: Amplitude of one step of the source's integer grid (2**-15 for 16 bit and for lossy files, the finest one
            where files differ); None for float sources.
        lossless: Whether the scored samples are the source's integer samples: nothing was resampled, mixed, decoded
            from a lossy format or rounded to float32.
        normaliser: Mean and standard deviation of the training part's amplitudes, always without dither.
        train: The training part.
        validation: The validation part.
        test: The test part.
        skipped: Files that were left out, and why.
        checksum: SHA-256 over the relative names and contents of all used files.
        speakers: Number of speakers, or None where they are unknown.
        clips: Number of used files.
        dropped: Samples at the ends of clips that fill no whole frame (or segment).
        constant_clips: Clips of one value only, such as digital silence.
        constant_frames: Frames of one value only.
        dither: Whether uniform noise of one step of the grid is added to every sample that is read.
        references: What the process that made the data says of them: log-densities of each test sequence in nats of
            the standardised values, by name (see `linear_gaussian.references`); empty for recordings.
    """

    name: str
    sample_rate: int
    frame: int
    lsb: float | None
    lossless: bool
    normaliser: Normaliser
    train: Sequences
    validation: Sequences
    test: Sequences
    skipped: tuple[Skipped, ...]
    checksum: str
    speakers: int | None
    clips: int
    dropped: int = 0
    constant_clips: int = 0
    constant_frames: int = 0
    dither: bool = False
    references: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def std_lsb(self) -> float | None:
        """The standard deviation in steps of the source's grid, which turns nats into bits a sample."""
        return None if self.lsb is None else self.normaliser.std / self.lsb

    def with_normaliser(self, normaliser: Normaliser) -> "Corpus":
        """The same recordings, standardised by another map (such as that of the corpus a model was trained on)."""
        parts = {part: sequences.with_normaliser(normaliser) for part, sequences in self._parts().items()}
        shift = self.test.lengths * self.frame * log(normaliser.std / self.normaliser.std)
        references = {name: nats + shift for name, nats in self.references.items()}
        return replace(self, normaliser=normaliser, references=references, **parts)  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """Numbers and names for a record of the data, by names that stay."""
        described: dict[str, Any] = {
            "name": self.name,
            "sample_rate": self.sample_rate,
            "frame": self.frame,
            "lsb": self.lsb,
            "lossless": self.lossless,
            "dither": self.dither,
            "mean": self.normaliser.mean,
            "std": self.normaliser.std,
            "checksum": self.checksum,
            "clips": self.clips,
            "speakers": self.speakers,
            "hours": None if self._simulated else sum(part.seconds for part in self._parts().values()) / 3600,
            "frames": sum(int(part.lengths.sum()) for part in self._parts().values()),
            "dropped_samples": self.dropped,
            "skipped_files": len(self.skipped),
            "constant_clips": self.constant_clips,
            "constant_frames": self.constant_frames,
        }
        for name, part in self._parts().items():
            described[f"{name}_sequences"] = len(part)
            described[f"{name}_frames"] = int(part.lengths.sum())
            described[f"{name}_hours"] = None if self._simulated else part.seconds / 3600
            described[f"{name}_speakers"] = None if part.speakers is None else len(set(part.speakers))
        return described

    def lines(self) -> list[str]:
        """What people should know before they train on this corpus, a few lines."""
        seen = self.describe()
        counts = f"{seen['frames']} frames of {self.frame}"
        if self._simulated:
            lines = [f"{self.name}: {self.clips} simulated sequences, {counts} values, checksum {self.checksum[:12]}"]
        else:
            lines = [
                f"{self.name}: {self.clips} clips{_speakers(self.speakers)}, {_duration(seen['hours'])} "
                f"at {self.sample_rate} Hz, {counts} samples, checksum {self.checksum[:12]}"
            ]
        for name, part in self._parts().items():
            extent = _speakers(seen[f"{name}_speakers"])
            extent += "" if self._simulated else f", {_duration(seen[f'{name}_hours'])}"
            lengths = f"{part.lengths.min()} to {part.lengths.max()} frames (mean {part.lengths.mean():.2f})"
            lines.append(f"{name}: {len(part)} sequences{extent}, {lengths}")
        steps = "" if self.std_lsb is None else f" ({self.std_lsb:.1f} steps of the source's grid)"
        lines.append(f"standardised by mean {self.normaliser.mean:.3g} and std {self.normaliser.std:.4g}{steps}")
        if self.dither:
            lines.append("dithered by noise of one step of the grid: densities bound probabilities of the integers")
        if self.dropped:
            lines.append(f"dropped: {self.dropped} samples at the ends of clips that fill no frame or segment")
        if self.skipped:
            shown = "; ".join(f"{path} ({reason})" for path, reason in self.skipped[:3])
            lines.append(f"skipped: {len(self.skipped)} files: {shown}{'; ...' if len(self.skipped) > 3 else ''}")
        if self.constant_frames and not self.dither:
            lines.append(
                f"warning: {self.constant_frames} frames ({self.constant_clips} whole clips) are digital silence: "
                "a density of continuous values has no upper bound there"
            )
        return lines

    @property
    def _simulated(self) -> bool:
        return bool(self.references)

    def _parts(self) -> dict[str, Sequences]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load(options: DataOptions, *, seed: int, progress: Progress | None = None) -> Corpus:
    """Read, split and standardise a corpus; what is simulated is the same for every seed.

    Args:
        options: What is read and how.
        seed: Which random split, and which noise of a dither.
        progress: Called with what is being done, how many items are done, and how many there are.

    Raises:
        DataError: Something a user can mend, in one line.
    """
    if options.source == LINEAR_GAUSSIAN:
        return _simulate(options)
    name = options.source
    options = _resolve(options, progress)
    found = read_recordings(options, progress)
    names = [clip.name for clip in found.clips]
    speakers = find_speakers(names, options)
    split = split_names(names, speakers, options, seed=seed, skipped={path for path, _ in found.skipped})
    training = moments(found.clips[i].frames for i in split.train)
    if training.squares == 0:
        raise DataError(f"--data {name}: the training part is digital silence; expected recordings of sound")
    normaliser = Normaliser(training.mean, training.std)

    def part(indices: Sequence[int]) -> Sequences:
        return _sequences(found, indices, speakers, options, normaliser, seed)

    return Corpus(
        name=name,
        sample_rate=found.sample_rate,
        frame=options.frame,
        lsb=found.grid.lsb,
        lossless=found.grid.lossless,
        normaliser=normaliser,
        train=part(split.train),
        validation=part(split.validation),
        test=part(split.test),
        skipped=found.skipped,
        checksum=found.checksum,
        speakers=None if speakers is None else len(set(speakers)),
        clips=len(found.clips),
        dropped=found.dropped,
        constant_clips=found.constant_clips,
        constant_frames=found.constant_frames,
        dither=options.dither,
    )


class Unsplit(NamedTuple):
    """All of a source, without parts.

    Attributes:
        sequences: In the order of their names (all parts, in their order, of a simulated set).
        skipped: Files that were left out, and why.
        lsb: As in `Corpus`.
        lossless: As in `Corpus`.
    """

    sequences: Sequences
    skipped: tuple[Skipped, ...]
    lsb: float | None
    lossless: bool


def read(options: DataOptions, normaliser: Normaliser, *, seed: int = 0, progress: Progress | None = None) -> Unsplit:
    """All recordings of a source without any split, for scoring, encoding or priming with a trained model.

    Args:
        options: What is read and how; here `source` may also be one audio file, and nothing is said about splits.
        normaliser: The map of the corpus that the model was trained on.
        seed: Which noise of a dither.
        progress: As in `load`.

    Raises:
        DataError: Something a user can mend, in one line.
    """
    if options.source == LINEAR_GAUSSIAN:
        linear_gaussian.check_options(options)
        return Unsplit(linear_gaussian.sequences(linear_gaussian.parts(), normaliser), (), None, False)
    options = _resolve(options, progress)
    found = read_recordings(options, progress)
    speakers = find_speakers([clip.name for clip in found.clips], options)
    sequences = _sequences(found, range(len(found.clips)), speakers, options, normaliser, seed)
    return Unsplit(sequences, found.skipped, found.grid.lsb, found.grid.lossless)


def _resolve(options: DataOptions, progress: Progress | None) -> DataOptions:
    """Options that make sense and whose source is a folder or a file; an embedded set is rendered on first use."""
    if options.source not in EMBEDDED:
        check_options(options)
        return options
    from . import demo

    own = {
        "speaker_pattern": options.speaker_pattern or demo.SPEAKER_PATTERN,
        "segment": demo.SEGMENT if options.segment is None else options.segment,
    }
    options = options.model_copy(update=own)
    check_options(options)
    return options.model_copy(update={"source": str(demo.prepare(progress))})


def _sequences(
    found: Recordings,
    indices: Sequence[int],
    speakers: Sequence[str] | None,
    options: DataOptions,
    normaliser: Normaliser,
    seed: int,
) -> Sequences:
    """Whole clips, or their segments in order; all of a clip's segments are in one part."""
    segment = segment_frames(options, found.sample_rate)
    frames, names, voices, recordings = [], [], [], []
    for i in indices:
        clip = found.clips[i]
        for k in range(len(clip.frames) // segment if segment else 1):
            frames.append(clip.frames[k * segment : (k + 1) * segment] if segment else clip.frames)
            names.append(f"{clip.name}#{k}" if segment else clip.name)
            voices.append("" if speakers is None else speakers[i])
            recordings.append(i)
    dither = None
    if options.dither:
        assert found.grid.lsb is not None  # read_recordings has refused floats
        dither = Dither(seed, found.grid.lsb, range(len(frames)))
    return Sequences(
        frames,
        names,
        None if speakers is None else voices,
        frame=options.frame,
        sample_rate=found.sample_rate,
        normaliser=normaliser,
        dither=dither,
        recordings=recordings,
    )


def _simulate(options: DataOptions) -> Corpus:
    linear_gaussian.check_options(options)
    parts = linear_gaussian.parts()
    raw, training = Normaliser(0.0, 1.0), moments([parts["train"]])
    train, validation, test = (linear_gaussian.sequences({name: parts[name]}, raw) for name in parts)
    return Corpus(
        name=options.source,
        sample_rate=linear_gaussian.RATE,
        frame=train.frame,
        lsb=None,
        lossless=False,
        normaliser=raw,
        train=train,
        validation=validation,
        test=test,
        skipped=(),
        checksum=linear_gaussian.checksum(parts),
        speakers=None,
        clips=len(train) + len(validation) + len(test),
        references=linear_gaussian.references(linear_gaussian.MODEL, parts["test"]),
    ).with_normaliser(Normaliser(training.mean, training.std))


def _duration(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _speakers(number: int | None) -> str:
    return "" if number is None else f", {number} speaker{'s' * (number != 1)}"
