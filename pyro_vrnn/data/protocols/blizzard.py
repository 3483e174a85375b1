"""Blizzard Challenge 2013 (Lessac): audiobooks read by one English speaker, unsegmented and in part segmented."""

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...errors import DataError
from ..audio import SUFFIXES
from ..recordings import Skipped
from .plan import Plan, Side, Used, base, hidden, made, one_each, stem, suffix

SPEAKER = "lessac"

# Of copies of one recording in several formats, the lossless ones first.
_ORDER = (".flac", ".wav", ".wave", ".sph", ".nist")

_EDITIONS = ("unsegmented", "segmented")


class BlizzardOptions(BaseModel):
    """What can be chosen about Blizzard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edition: Literal["unsegmented", "segmented"] | None = Field(
        default=None,
        description="Which of the folders `unsegmented/` (whole recordings, about 300 hours) and `segmented/` "
        "(sentences cut out of a part of them) is read: they hold the same speech twice. None: the unsegmented one "
        "where it is there.",
    )


def plan(names: Collection[str], options: BlizzardOptions, *, seed: int, side: Side) -> Plan:
    """All recordings of one edition; parts are drawn over recordings, so that no recording is on two sides.

    Args:
        names: Paths of all files relative to the source.
        options: What was chosen.
        seed: Not needed here; parts are drawn by whoever reads the plan.
        side: Reads `prompts.gui`, the segmented edition's transcripts.

    Raises:
        DataError: There is nothing of this corpus.
    """
    audio = [name for name in names if suffix(name) in SUFFIXES and not hidden(name)]
    editions = {name: _edition(name) for name in audio}
    there = [edition for edition in _EDITIONS if edition in editions.values()]
    chosen = options.edition or (there[0] if there else None)
    if not audio or (options.edition and options.edition not in there):
        where = f" in a folder {options.edition}/" if options.edition else ""
        raise DataError(
            f"blizzard: no audio files{where}; expected the corpus's folder, with unsegmented/ or segmented/ in "
            "it, or any folder of one speaker's recordings"
        )
    skipped = [
        Skipped(name, f"in no folder {chosen}/" if edition is None else f"the {edition} edition of the same speech")
        for name, edition in editions.items()
        if edition != chosen
    ]
    keyed = ((_key(name), name) for name in audio if editions[name] == chosen)
    best, copies = one_each(keyed, lambda name: _ORDER.index(suffix(name)) if suffix(name) in _ORDER else len(_ORDER))
    texts = _prompts(names, side) if chosen == "segmented" else {}
    used = [Used(name, SPEAKER, None, texts.get(stem(name))) for name in best.values()]
    notes = [f"blizzard: {chosen or 'unnamed'} edition, {len(used)} recordings; parts are drawn over recordings"]
    return made(used, skipped + copies, drawn="files", notes=notes)


def _edition(name: str) -> str | None:
    folders = [folder.lower() for folder in PurePosixPath(name).parts[:-1]]
    return next((folder for folder in reversed(folders) if folder in _EDITIONS), None)


def _key(name: str) -> str:
    """One recording's: the path without suffix; the sentences lie in a folder `wavn` and may lie in `wav` too."""
    path = PurePosixPath(name)
    folder = path.parent.parent / "wav" if path.parent.name in ("wav", "wavn") else path.parent
    return str(folder / path.stem)


def _prompts(names: Collection[str], side: Side) -> dict[str, str]:
    """Transcripts by name: `prompts.gui` has three lines a sentence, its name, its words and its phones."""
    texts: dict[str, str] = {}
    for name in sorted(names):
        if base(name) == "prompts.gui":
            lines = (side(name) or "").splitlines()
            for title, words in zip(lines[::3], lines[1::3], strict=False):
                texts.setdefault(title.strip(), re.sub(r"\s+", " ", words).strip())
    return {title: words for title, words in texts.items() if title and words}
