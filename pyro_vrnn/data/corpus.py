"""From a source's name to three parts of standardised sequences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import DataError
from .options import EMBEDDED, DataOptions
from .recordings import Clip, Progress, Skipped, read_recordings, segment_frames
from .sequences import Normaliser, Sequences
from .splits import check_options, find_speakers, split_names
from .statistics import moments


@dataclass(frozen=True)
class Corpus:
    """Recordings in three parts, standardised by the statistics of the training part.

    Attributes:
        name: The embedded set's name or the folder.
        sample_rate: Rate in Hz.
        frame: Samples a frame.
        lsb: Amplitude of one step of the source's integer grid (2**-15 for 16 bit and for lossy files, the finest one
            where files differ); None for float sources.
        lossless: Whether the scored samples are the source's integer samples: nothing was resampled, mixed, decoded
            from a lossy format or rounded to float32.
        normaliser: Mean and standard deviation of the training part's amplitudes.
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
    dropped: int
    constant_clips: int
    constant_frames: int

    @property
    def std_lsb(self) -> float | None:
        """The standard deviation in steps of the source's grid, which turns nats into bits a sample."""
        return None if self.lsb is None else self.normaliser.std / self.lsb

    def with_normaliser(self, normaliser: Normaliser) -> "Corpus":
        """The same recordings, standardised by another map (such as that of the corpus a model was trained on)."""
        parts = {part: sequences.with_normaliser(normaliser) for part, sequences in self._parts().items()}
        return replace(self, normaliser=normaliser, **parts)  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """Numbers and names for a record of the data, by names that stay."""
        described: dict[str, Any] = {
            "name": self.name,
            "sample_rate": self.sample_rate,
            "frame": self.frame,
            "lsb": self.lsb,
            "lossless": self.lossless,
            "mean": self.normaliser.mean,
            "std": self.normaliser.std,
            "checksum": self.checksum,
            "clips": self.clips,
            "speakers": self.speakers,
            "hours": sum(part.seconds for part in self._parts().values()) / 3600,
            "frames": sum(int(part.lengths.sum()) for part in self._parts().values()),
            "dropped_samples": self.dropped,
            "skipped_files": len(self.skipped),
            "constant_clips": self.constant_clips,
            "constant_frames": self.constant_frames,
        }
        for name, part in self._parts().items():
            described[f"{name}_sequences"] = len(part)
            described[f"{name}_frames"] = int(part.lengths.sum())
            described[f"{name}_hours"] = part.seconds / 3600
            described[f"{name}_speakers"] = None if part.speakers is None else len(set(part.speakers))
        return described

    def lines(self) -> list[str]:
        """What people should know before they train on this corpus, a few lines."""
        seen = self.describe()
        lines = [
            f"{self.name}: {self.clips} clips{_speakers(self.speakers)}, {_duration(seen['hours'])} "
            f"at {self.sample_rate} Hz, {seen['frames']} frames of {self.frame} samples, checksum {self.checksum[:12]}"
        ]
        for name, part in self._parts().items():
            speakers, duration = _speakers(seen[f"{name}_speakers"]), _duration(seen[f"{name}_hours"])
            lengths = f"{part.lengths.min()} to {part.lengths.max()} frames (mean {part.lengths.mean():.2f})"
            lines.append(f"{name}: {len(part)} sequences{speakers}, {duration}, {lengths}")
        steps = "" if self.std_lsb is None else f" ({self.std_lsb:.1f} steps of the source's grid)"
        lines.append(f"standardised by mean {self.normaliser.mean:.3g} and std {self.normaliser.std:.4g}{steps}")
        if self.dropped:
            lines.append(f"dropped: {self.dropped} samples at the ends of clips that fill no frame or segment")
        if self.skipped:
            shown = "; ".join(f"{path} ({reason})" for path, reason in self.skipped[:3])
            lines.append(f"skipped: {len(self.skipped)} files: {shown}{'; ...' if len(self.skipped) > 3 else ''}")
        if self.constant_frames:
            lines.append(
                f"warning: {self.constant_frames} frames ({self.constant_clips} whole clips) are digital silence: "
                "a density of continuous values has no upper bound there"
            )
        return lines

    def _parts(self) -> dict[str, Sequences]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load(options: DataOptions, *, seed: int, progress: Progress | None = None) -> Corpus:
    """Read, split and standardise a corpus.

    Args:
        options: What is read and how.
        seed: Which random split.
        progress: Called with what is being done, how many items are done, and how many there are.

    Raises:
        DataError: Something a user can mend, in one line.
    """
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
    segment = segment_frames(options, found.sample_rate)

    def part(indices: Sequence[int]) -> Sequences:
        clips = [found.clips[i] for i in indices]
        voices = None if speakers is None else [speakers[i] for i in indices]
        return _sequences(clips, voices, options.frame, found.sample_rate, segment, normaliser)

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
    )


def read(
    options: DataOptions, normaliser: Normaliser, *, progress: Progress | None = None
) -> tuple[Sequences, tuple[Skipped, ...]]:
    """All recordings of a source without any split, for scoring, encoding or priming with a trained model.

    Args:
        options: What is read and how; here `source` may also be one audio file, and nothing is said about splits.
        normaliser: The map of the corpus that the model was trained on.
        progress: As in `load`.

    Returns:
        The sequences in the order of their names, and the files that were left out.

    Raises:
        DataError: Something a user can mend, in one line.
    """
    options = _resolve(options, progress)
    found = read_recordings(options, progress)
    speakers = find_speakers([clip.name for clip in found.clips], options)
    segment = segment_frames(options, found.sample_rate)
    sequences = _sequences(found.clips, speakers, options.frame, found.sample_rate, segment, normaliser)
    return sequences, found.skipped


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
    clips: Sequence[Clip],
    speakers: Sequence[str] | None,
    frame: int,
    sample_rate: int,
    segment: int | None,
    normaliser: Normaliser,
) -> Sequences:
    """Whole clips, or their segments in order; all of a clip's segments are in one part."""
    pieces = [len(clip.frames) // segment if segment else 1 for clip in clips]
    frames = [
        clip.frames[k * (segment or 0) :][:segment] for clip, n in zip(clips, pieces, strict=True) for k in range(n)
    ]
    names = [
        f"{clip.name}#{k}" if segment else clip.name for clip, n in zip(clips, pieces, strict=True) for k in range(n)
    ]
    voices = None
    if speakers is not None:
        voices = [speaker for speaker, n in zip(speakers, pieces, strict=True) for _ in range(n)]
    return Sequences(frames, names, voices, frame=frame, sample_rate=sample_rate, normaliser=normaliser)


def _duration(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _speakers(number: int | None) -> str:
    return "" if number is None else f", {number} speaker{'s' * (number != 1)}"
