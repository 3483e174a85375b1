"""Which sequences of a prepared corpus train, validate and test."""

from collections.abc import Collection, Mapping, Sequence

from ...errors import DataError
from ..corpus import PARTS
from ..options import DataOptions
from ..splits import find_speakers, split_names
from .corpora import Plan, Used
from .reading import Entry

SPLITTING = ("split", "test_pattern", "speaker_pattern", "test_list", "validation", "test")
"""Options that say how parts are chosen."""


def speakers_of(
    entries: Sequence[Entry], files: Sequence[Used], options: DataOptions
) -> list[str | None] | list[str] | None:
    """Who speaks in each sequence: as the pattern finds it, else as the corpus or the file says; None if unknown.

    Raises:
        DataError: The pattern finds no speaker in a name.
    """
    found = find_speakers([entry.name for entry in entries], options)
    if found is not None:
        return found
    told = [file.speaker or entry.speaker for entry, file in zip(entries, files, strict=True)]
    return told if any(told) else None


def parts_of(
    entries: Sequence[Entry],
    files: Sequence[Used],
    speakers: Sequence[str | None] | None,
    plan: Plan,
    options: DataOptions,
    *,
    seed: int,
    skipped: Collection[str],
) -> list[str]:
    """The part of each sequence: that of the corpus or of its file, and where neither has one, a drawn one.

    Args:
        entries: The sequences, in their order.
        files: The file of each.
        speakers: As `speakers_of` gives them.
        plan: Of the corpus.
        options: How parts are drawn.
        seed: Which draw.
        skipped: Names that a list of test files may name although they are not used.

    Raises:
        DataError: A part would be empty, or as `split_names` does.
    """
    told = [file.part or entry.part for entry, file in zip(entries, files, strict=True)]
    given = options.model_fields_set & {"split", "test_pattern", "test_list"}
    if all(told) and not given:
        unread = next((name for name in ("validation", "test") if name in options.model_fields_set), None)
        if unread is not None and plan.drawn is not None:
            raise DataError(
                f"--{unread}: all sequences of {options.source} have parts of their own; leave it out, or pass "
                "--split random to draw others"
            )
        parts = [part or "" for part in told]
    else:
        parts = _drawn(entries, speakers, told if not given else None, plan, options, seed, skipped)
    missing = [part for part in PARTS if part not in parts]
    if missing:
        raise DataError(
            f"{options.source}: no sequence is in the {missing[0]} part; expected some in each of {', '.join(PARTS)}"
        )
    return parts


def _drawn(
    entries: Sequence[Entry],
    speakers: Sequence[str | None] | None,
    told: Sequence[str | None] | None,
    plan: Plan,
    options: DataOptions,
    seed: int,
    skipped: Collection[str],
) -> list[str]:
    free = [i for i in range(len(entries)) if told is None or told[i] is None]
    by_speaker = plan.drawn == "speakers" and "split" not in options.model_fields_set
    if by_speaker or options.split == "speaker":
        unknown = next((entries[i].name for i in free if speakers is None or not speakers[i]), None)
        if unknown is not None:
            raise DataError(
                f"--split speaker: the speaker of {unknown} is not known; pass --speaker-pattern RE whose first group "
                "is the speaker"
            )
        # Whoever says who speaks, there is a pattern for `split_names`, which does not look at it.
        pattern = options.speaker_pattern or "(.)"
        options = options.model_copy(update={"split": "speaker", "speaker_pattern": pattern})
    names = [entries[i].name for i in free]
    voices = None if speakers is None else [speakers[i] or "" for i in free]
    split = split_names(names, voices, options, seed=seed, skipped=skipped)
    parts = [(told[i] if told is not None else None) or "train" for i in range(len(entries))]
    for part in PARTS:
        for k in getattr(split, part):
            parts[free[k]] = part
    return parts


def counted(entries: Sequence[Entry], parts: Sequence[str]) -> Mapping[str, int]:
    """Sequences and frames of each part."""
    counts: dict[str, int] = {}
    for part in PARTS:
        chosen = [entry for entry, own in zip(entries, parts, strict=True) if own == part]
        counts |= {f"{part}_recordings": len(chosen), f"{part}_frames": sum(entry.frames for entry in chosen)}
    return counts
