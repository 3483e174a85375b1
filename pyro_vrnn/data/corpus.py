"""Three parts of standardised sequences, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp
from typing import Any, NamedTuple

import numpy as np

from .kinds import WORDS, Kind, width_of
from .normaliser import Normaliser
from .recordings import Skipped
from .sequences import Sequences

FEW = 4  # values whose mean and standard deviation are printed one by one

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Corpus:
    """Sequences in three parts, standardised by the statistics of the training part.

    Attributes:
        name: The embedded set's name, the folder or the prepared cache.
        sample_rate: Rate in Hz; of a simulated set one frame a second; None where values have no rate.
        frame: Values a frame: samples, 3 of a pen, D of arrays.
        lsb: Amplitude of one step of the source's integer grid (2**-15 for 16 bit and for lossy files, the finest one
            where files differ; 1 for integer coordinates); None for float sources.
        lossless: Whether the scored values are the source's integers: nothing was resampled, mixed, decoded from a
            lossy format or rounded to float32.
        normaliser: Mean and standard deviation of the training part's amplitudes, always without dither.
        train: The training part.
        validation: The validation part.
        test: The test part.
        skipped: Files that were left out, and why.
        checksum: SHA-256 over the relative names and contents of all used files.
        speakers: Number of speakers, or None where they are unknown.
        clips: Number of recordings, drawings or series that were used, before they were cut into segments.
        dropped: Samples at the ends of clips that fill no whole frame (or segment).
        constant_clips: Clips of one value only, such as digital silence.
        constant_frames: Frames of one value only.
        dither: Whether uniform noise of one step of the grid is added to every continuous value that is read.
        references: What the process that made the data says of them: log-densities of each test sequence in nats of
            the standardised values, by name (see `linear_gaussian.references`); empty for recordings.
        kind: What the sequences are of.
    """

    name: str
    sample_rate: int | None
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
    kind: Kind = "audio"

    @property
    def width(self) -> int:
        """Continuous values a frame: 2 of a pen's 3, all of others."""
        return width_of(self.kind, self.frame)

    @property
    def std_lsb(self) -> float | None:
        """The standard deviation in steps of the source's grid, which turns nats into bits a value.

        Where values of a frame have their own, it is the geometric mean over the continuous ones.
        """
        return std_in_steps(self.normaliser, self.lsb, self.width)

    @property
    def parts(self) -> dict[str, Sequences]:
        """The three parts by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def simulated(self) -> bool:
        """Whether the process that made the data is known."""
        return bool(self.references)

    def with_normaliser(self, normaliser: Normaliser) -> "Corpus":
        """The same values, standardised by another map (such as that of the corpus a model was trained on)."""
        parts = {part: sequences.with_normaliser(normaliser) for part, sequences in self.parts.items()}
        wider = normaliser.log_std(self.width) - self.normaliser.log_std(self.width)
        shift = self.test.lengths * self.width * wider
        references = {name: nats + shift for name, nats in self.references.items()}
        return replace(self, normaliser=normaliser, references=references, **parts)  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """Numbers and names for a record of the data, by names that stay."""
        described: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "sample_rate": self.sample_rate,
            "frame": self.frame,
            "lsb": self.lsb,
            "lossless": self.lossless,
            "dither": self.dither,
            "mean": _plain(self.normaliser.mean),
            "std": _plain(self.normaliser.std),
            "checksum": self.checksum,
            "clips": self.clips,
            "speakers": self.speakers,
            "hours": self._hours(*self.parts.values()),
            "frames": sum(int(part.lengths.sum()) for part in self.parts.values()),
            "dropped_samples": self.dropped,
            "skipped_files": len(self.skipped),
            "constant_clips": self.constant_clips,
            "constant_frames": self.constant_frames,
        }
        for name, part in self.parts.items():
            described[f"{name}_sequences"] = len(part)
            described[f"{name}_frames"] = int(part.lengths.sum())
            described[f"{name}_hours"] = self._hours(part)
            described[f"{name}_speakers"] = part.voices
        return described

    def lines(self) -> list[str]:
        """What people should know before they train on this corpus, a few lines."""
        words, seen = WORDS[self.kind], self.describe()
        frames = f"{seen['frames']} {words.frame}s of {self.frame}"
        checksum = f"checksum {self.checksum[:12]}"
        if self.simulated:
            told = [f"{self.name}: {self.clips} simulated sequences, {frames} values, {checksum}"]
        else:
            hours = seen["hours"]
            lasting = "" if hours is None else f"{_duration(hours)} at {self.sample_rate} Hz, "
            told = [
                f"{self.name}: {self.clips} {words.sequence}s{_speakers(self, self.speakers)}, "
                f"{lasting}{frames} {words.value}s, {checksum}"
            ]
        for name, part in self.parts.items():
            extent = _speakers(self, seen[f"{name}_speakers"])
            hours = seen[f"{name}_hours"]
            extent += "" if hours is None else f", {_duration(hours)}"
            lengths = f"{part.lengths.min()} to {part.lengths.max()} {words.frame}s (mean {part.lengths.mean():.2f})"
            told.append(f"{name}: {len(part)} sequences{extent}, {lengths}")
        told.append(_standardised(self))
        if self.dither:
            told.append("dithered by noise of one step of the grid: densities bound probabilities of the integers")
        if self.dropped:
            told.append(f"dropped: {self.dropped} samples at the ends of clips that fill no frame or segment")
        if self.skipped:
            shown = "; ".join(f"{path} ({reason})" for path, reason in self.skipped[:3])
            told.append(f"skipped: {len(self.skipped)} files: {shown}{'; ...' if len(self.skipped) > 3 else ''}")
        if self.constant_frames and not self.dither:
            told.append(_constant(self))
        return told

    def _hours(self, *parts: Sequences) -> float | None:
        if self.simulated:
            return None
        seconds = [part.seconds for part in parts]
        return None if None in seconds else sum(one for one in seconds if one is not None) / 3600


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


def std_in_steps(normaliser: Normaliser, lsb: float | None, width: int) -> float | None:
    """As `Corpus.std_lsb`: None where there is no grid.

    Args:
        normaliser: The map to standardised values.
        lsb: Amplitude of one step of the grid.
        width: Continuous values a frame.
    """
    if lsb is None:
        return None
    return (normaliser.std if isinstance(normaliser.std, float) else exp(normaliser.log_std(width))) / lsb


def _plain(numbers: float | tuple[float, ...]) -> float | list[float]:
    return numbers if isinstance(numbers, float) else list(numbers)


def _standardised(corpus: Corpus) -> str:
    mean, std = corpus.normaliser.mean, corpus.normaliser.std
    steps = "" if corpus.std_lsb is None else f" ({corpus.std_lsb:.1f} steps of the source's grid)"
    if isinstance(mean, float) or isinstance(std, float):
        return f"standardised by mean {mean:.3g} and std {std:.4g}{steps}"
    if corpus.kind == "pen":
        return f"offsets standardised by mean {mean[0]:.3g} and std {std[0]:.4g}{steps}"
    means, stds = (", ".join(f"{x:.3g}" for x in numbers[:FEW]) for numbers in (mean, std))
    more = f", ... ({len(std)} in all)" if len(std) > FEW else ""
    return f"each value standardised by mean {means}{more} and std {stds}{more}{steps}"


def _constant(corpus: Corpus) -> str:
    unbounded = "a density of continuous values has no upper bound there"
    if corpus.kind == "audio":
        return (
            f"warning: {corpus.constant_frames} frames ({corpus.constant_clips} whole clips) are digital silence: "
            f"{unbounded}"
        )
    what = "have an offset of exactly 0" if corpus.kind == "pen" else "repeat the one before"
    remedy = "" if corpus.lsb is None else "; pass --dither"
    share = corpus.constant_frames / sum(int(part.lengths.sum()) for part in corpus.parts.values())
    frames = f"{corpus.constant_frames} {WORDS[corpus.kind].frame}s ({share:.1%})"
    return f"warning: {frames} {what}: {unbounded}{remedy}"


def _duration(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _speakers(corpus: Corpus, number: int | None) -> str:
    return "" if number is None else f", {number} {WORDS[corpus.kind].speaker}{'s' * (number != 1)}"
