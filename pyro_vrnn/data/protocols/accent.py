"""The Speech Accent Archive: one English paragraph, read by one speaker a file."""

import csv
import io
from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...errors import DataError
from ..audio import SUFFIXES
from ..recordings import Skipped
from .plan import Plan, Side, Used, base, hidden, made, one_each, stem, suffix

TABLE = "speakers_all.csv"
PASSAGE = "reading-passage.txt"
PAPER = 2046  # speakers when the paper was written; the archive grows


class AccentOptions(BaseModel):
    """What can be chosen about the Speech Accent Archive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shuffle: Literal["speakers", "segments"] = Field(
        default="speakers",
        description="Over what parts are drawn. speakers: no speaker is on two sides. segments: the paper's, which "
        "shuffles all segments, so that nearly every speaker is on all sides and what is measured is not "
        "generalisation to new speakers.",
    )


def plan(names: Collection[str], options: AccentOptions, *, seed: int, side: Side) -> Plan:
    """All recordings, each a speaker's own: `english1.mp3`, `english2.mp3`, `mandarin1.mp3`, ...

    Args:
        names: Paths of all files relative to the source.
        options: What was chosen.
        seed: Not needed here; parts are drawn by whoever reads the plan.
        side: Reads `speakers_all.csv` and `reading-passage.txt`, where they are there.

    Raises:
        DataError: There is nothing of this corpus.
    """
    audio = [name for name in names if suffix(name) in SUFFIXES]
    if all(map(hidden, audio)):
        raise DataError(
            "accent: no audio files; expected the archive's folder, with recordings/english1.mp3 and so on in it"
        )
    skipped = [Skipped(name, "a hidden file") for name in audio if hidden(name)]
    keyed = ((_speaker(name), name) for name in audio if not hidden(name))
    # The archive is MP3: other formats are copies of it.
    best, copies = one_each(keyed, lambda name: suffix(name) != ".mp3")
    passage = _side(names, PASSAGE, side)
    text = None if passage is None else " ".join(passage.split()) or None
    used = [Used(name, speaker, None, text) for speaker, name in best.items()]
    notes = [f"accent: {len(used)} speakers (the paper had {PAPER})"]
    table = _side(names, TABLE, side)
    if table is not None:
        listed = _listed(table)
        missing = len(listed - best.keys())
        notes.append(f"accent: {TABLE} names {len(listed)} recordings, of which {missing} are not here")
    if options.shuffle == "segments":
        notes.append("accent: parts are drawn over segments (the paper's shuffle): speakers are on several sides")
    return made(used, skipped + copies, drawn=options.shuffle, notes=notes)


def _speaker(name: str) -> str:
    return stem(name).lower()


def _side(names: Collection[str], wanted: str, side: Side) -> str | None:
    found = [name for name in names if base(name).lower() == wanted]
    return side(min(found, key=lambda name: (name.count("/"), name))) if found else None


def _listed(table: str) -> set[str]:
    """Recordings the table says are there, by their speakers."""
    listed = set()
    try:
        for row in csv.DictReader(io.StringIO(table)):
            if (row.get("file_missing?") or "").strip().upper() != "TRUE" and (row.get("filename") or "").strip():
                listed.add(_speaker((row["filename"] or "").strip() + ".mp3"))
    except csv.Error:
        pass  # a table that is none says nothing
    return listed
