"""All that is found in a source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kinds import WORDS, Kind
from ..sequences import Sequences
from ..statistics import normaliser_of, training_moments
from . import pen, rows, sound, steps
from .found import Findings, Quantity, quantity


@dataclass(frozen=True)
class Part:
    """A part of a source.

    Attributes:
        lengths: Steps of each sequence.
        speakers: Steps of each speaker by name; None where they are unknown.
    """

    lengths: NDArray[np.int64]
    speakers: Mapping[str, int] | None


@dataclass(frozen=True)
class Inspection:
    """What is in a source.

    Attributes:
        kind: What its sequences are of.
        frame: Values a step.
        seconds_per_step: Duration of a step; None for all but sound.
        parts: The parts by name.
        lengths: The spread of the sequences' lengths, in seconds where there is a rate.
        findings: What is particular to the kind.
    """

    kind: Kind
    frame: int
    seconds_per_step: float | None
    parts: Mapping[str, Part]
    lengths: Quantity
    findings: Findings

    def as_dict(self) -> dict[str, Any]:
        """The numbers by names that stay, for JSON."""
        parts = {
            name: {
                "sequences": len(part.lengths),
                "frames": int(part.lengths.sum()),
                "seconds": None if self.seconds_per_step is None else float(part.lengths.sum()) * self.seconds_per_step,
                "speakers": None if part.speakers is None else len(part.speakers),
            }
            for name, part in self.parts.items()
        }
        found = self.findings
        return {
            "kind": self.kind,
            "frame": self.frame,
            "seconds_per_step": self.seconds_per_step,
            "parts": parts,
            "quantities": {name: q._asdict() for name, q in {"length": self.lengths, **found.quantities}.items()},
            "shares": {name: share._asdict() | {"share": share.share} for name, share in found.shares.items()},
            "warnings": found.warnings,
        }


def inspect(parts: Mapping[str, Sequences], lsb: float | None, *, lossless: bool = True, seed: int = 0) -> Inspection:
    """Look at every value of a source once, holding a few numbers a sequence and no more.

    Args:
        parts: Its sequences, of one kind, by part.
        lsb: Amplitude of one step of the source's grid; None for floats.
        lossless: Whether the stored values are the source's integers.
        seed: Of the choice of what is drawn.
    """
    parts = {name: sequences for name, sequences in parts.items() if len(sequences)}
    one = next(iter(parts.values()))
    if one.kind == "audio":
        found = sound.survey(parts, lsb, lossless=lossless)
    elif one.kind == "pen":
        found = pen.survey(parts, lsb, seed=seed)
    else:
        found = rows.survey(parts, lsb)
    lengths = np.concatenate([sequences.lengths for sequences in parts.values()])
    each = None if one.kind != "audio" or one.sample_rate is None else one.frame / one.sample_rate
    if each is None:
        spread = quantity(f"{WORDS[one.kind].frame}s of a sequence", "", lengths)
    else:
        spread = quantity("duration of a sequence", "s", lengths * each)
    named = {name: Part(part.lengths, _speakers(part)) for name, part in parts.items()}
    return Inspection(one.kind, one.frame, each, named, spread, found)


def by_itself(sequences: Sequences) -> Sequences:
    """The same values, standardised by their own mean and standard deviation; where all are equal, by their mean."""
    stored = (steps.whole(sequences, i) for i in range(len(sequences)))
    found = training_moments(stored, sequences.kind, step=sequences.step)
    varied = [one if one.squares else one._replace(squares=float(one.number)) for one in found]
    return sequences.with_normaliser(normaliser_of(varied, sequences.kind))


def _speakers(sequences: Sequences) -> dict[str, int] | None:
    if sequences.speakers is None:
        return None
    amounts: dict[str, int] = {}
    for speaker, length in zip(sequences.speakers, sequences.lengths.tolist(), strict=True):
        amounts[speaker] = amounts.get(speaker, 0) + length
    return amounts
