"""TIMIT (LDC93S1): ten sentences of each of 630 speakers, in `TRAIN/` and `TEST/`."""

import re
from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...errors import DataError
from ..recordings import Skipped
from ..splits import draw, share
from .plan import Part, Plan, Side, Used, beside, hidden, made, one_each, suffix

FULL = {"train": 4620, "test": 1680}
FULL_WITHOUT_SA = {"train": 3696, "test": 1344}

# TRAIN/DR1/FCJF0/SA1.WAV, in either case; re-releases add RIFF copies called SA1.WAV.wav.
_PATH = re.compile(
    r"(?:^|/)(?P<part>TRAIN|TEST)/DR(?P<region>[1-8])/(?P<speaker>[FM][A-Z]{3}\d)/(?P<sentence>S[AIX]\d+)\.",
    re.IGNORECASE,
)
_SUFFIXES = (".wav", ".sph", ".nist", ".flac")


class TimitOptions(BaseModel):
    """What can be chosen about TIMIT."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sa: Literal["keep", "drop"] = Field(
        default="keep",
        description="The two SA sentences, which all speakers read, so that their words are in every part. Kept: the "
        "paper speaks of 6300 sentences, which counts them, and says nothing of leaving any out.",
    )
    validation: float = Field(
        default=0.05, gt=0, lt=1, description="Fraction of the speakers under TRAIN in the validation part."
    )


def plan(names: Collection[str], options: TimitOptions, *, seed: int, side: Side) -> Plan:
    """The corpus's own test set; some speakers of its training set validate, drawn by the seed.

    Args:
        names: Paths of all files relative to the source.
        options: What was chosen.
        seed: Which speakers validate.
        side: Reads transcripts, `SA1.TXT` beside `SA1.WAV`.

    Raises:
        DataError: There is nothing of this corpus, or a speaker is on both of its sides.
    """
    found, skipped = {}, []
    for name in names:
        match = _PATH.search(name)
        if suffix(name) not in _SUFFIXES:
            continue
        if hidden(name) or match is None:
            reason = "a hidden file" if hidden(name) else "not TRAIN|TEST/DRn/SPEAKER/SENTENCE.WAV"
            skipped.append(Skipped(name, reason))
        else:
            found[name] = match
    keys = {
        name: "/".join(match.group("part", "region", "speaker", "sentence")).upper() for name, match in found.items()
    }
    chosen, copies = one_each(((key, name) for name, key in keys.items()), _rank)
    texts = {name.upper(): name for name in names if suffix(name) == ".txt"}
    used = []
    for name in chosen.values():
        match = found[name]
        if options.sa == "drop" and match["sentence"].upper().startswith("SA"):
            skipped.append(Skipped(name, "an SA sentence, which all speakers read"))
            continue
        part: Part = "test" if match["part"].upper() == "TEST" else "train"
        text = texts.get(f"{name[: match.end()]}TXT".upper())
        used.append(Used(name, match["speaker"].upper(), part, None if text is None else _transcript(side(text))))
    sides = {part: {one.speaker for one in used if one.part == part} for part in ("train", "test")}
    _check(sides)
    held = share(options.validation, len(sides["train"]))
    drawn = draw({speaker or "" for speaker in sides["train"]}, seed=seed, validation=held)
    counts = {part: sum(one.part == part for one in used) for part in sides}
    full = FULL if options.sa == "keep" else FULL_WITHOUT_SA
    notes = [
        f"timit: {beside(counts, full)} sentences before validation is drawn; in parentheses those of the full corpus",
        f"timit: validation: {held} of {len(sides['train'])} speakers of the training set; SA sentences: {options.sa}",
    ]
    parted = (one._replace(part="validation") if one.part == "train" and one.speaker in drawn else one for one in used)
    return made(parted, skipped + copies, drawn=None, notes=notes)


def _rank(name: str) -> int:
    """SPHERE as it is distributed before copies of it, which end in two suffixes."""
    return 2 * _SUFFIXES.index(suffix(name)) + (name.lower().endswith(".wav.wav"))


def _check(sides: dict[str, set[str | None]]) -> None:
    for part, speakers in sides.items():
        if len(speakers) < (2 if part == "train" else 1):
            raise DataError(
                f"timit: {len(speakers)} speakers under {part.upper()}/; expected the corpus's folder, which holds "
                "TRAIN/DR1/FCJF0/SA1.WAV and so on, in upper or lower case"
            )
    both = sides["train"] & sides["test"]
    if both:
        raise DataError(
            f"timit: speaker {min(map(str, both))} is under TRAIN/ and under TEST/; expected each on one side, as the "
            "corpus has it: prepare from an unchanged copy"
        )


def _transcript(line: str | None) -> str | None:
    """The words of `0 46797 She had your dark suit ...`: what follows the two sample numbers."""
    words = re.fullmatch(r"\s*\d+\s+\d+\s+(.*\S)\s*", line or "", re.DOTALL)
    return " ".join(words[1].split()) if words else None
