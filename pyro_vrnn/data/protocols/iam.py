"""IAM-OnDB: lines written on a whiteboard by some 200 writers, one XML file a line, with writer-independent lists."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ...errors import DataError
from ..recordings import Skipped
from .iam_sides import transcript, writers
from .plan import Part, Plan, Side, Used, base, beside, hidden, made, one_each, stem, suffix

LISTS = {"trainset.txt": 5364, "testset_v.txt": 1438, "testset_t.txt": 1518, "testset_f.txt": 3859}
"""The lists of the benchmark task IAM-OnDB-t1, and how many lines of handwriting each has."""

FULL = 12195

_PARTS: dict[str, dict[str, Part]] = {
    "paper": {
        "trainset.txt": "train",
        "testset_f.txt": "train",
        "testset_t.txt": "validation",
        "testset_v.txt": "test",
    },
    "t1": {"trainset.txt": "train", "testset_v.txt": "validation", "testset_f.txt": "test"},
}

# lineStrokes/a01/a01-000/a01-000u-01.xml is line 1 of the form a01-000u; a01-000 would be another form.
_LINE = re.compile(r"(?P<form>[a-z]\d{2}-\d{3}[a-z]?)-(?P<line>\d{2,3})\.xml", re.IGNORECASE)
_FORM = re.compile(r"[a-z]\d{2}-\d{3}[a-z]?")


class IamOptions(BaseModel):
    """What can be chosen about IAM-OnDB."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lists: Literal["paper", "t1"] = Field(
        default="paper",
        description="Which list is which part; their writers differ. paper: test is testset_v, which the paper scored "
        "(it validated there too), validation testset_t, and the rest trains. t1: the corpus's own task: trainset, "
        "testset_v and testset_f; testset_t, its second validation set, is left out.",
    )


class _Line(NamedTuple):
    form: str
    number: int


def plan(names: Collection[str], options: IamOptions, *, seed: int, side: Side) -> Plan:
    """Every line of a form that a list names; the others are left out and counted.

    Args:
        names: Paths of all files relative to the source.
        options: What was chosen.
        seed: Not needed here: nothing is drawn.
        side: Reads the lists, the transcripts (`ascii/a01/a01-000/a01-000u.txt`) and who wrote a form
            (`forms.txt` or the forms' own XML), where they are there.

    Raises:
        DataError: There are no lines, a list is missing, or a form is in two parts.
    """
    xml = {name: _line(name) for name in names if suffix(name) == ".xml"}
    keyed = ((f"{line.form}-{line.number}", name) for name, line in xml.items() if line is not None)
    best, skipped = one_each(keyed, lambda name: name.count("/"))
    if not best:
        raise DataError(
            "iam-ondb: no lines of handwriting; expected the unpacked lineStrokes-all, with files such as "
            "lineStrokes/a01/a01-000/a01-000u-01.xml"
        )
    lines = {name: line for name in best.values() if (line := xml[name]) is not None}
    lists = {wanted: _forms(wanted, names, side) for wanted in LISTS}
    parts = _parts(lists, _PARTS[options.lists])
    home = {form: wanted for wanted, forms in lists.items() for form in forms}
    texts = _texts(lines, names, side)
    hands = writers(names, {line.form for line in lines.values()}, side)
    used = []
    for name, line in lines.items():
        if line.form in parts:
            used.append(Used(name, hands.get(line.form), parts[line.form], texts.get(name)))
        elif line.form in home:
            reason = f"in {home[line.form]} alone, which --lists {options.lists} leaves out"
            skipped.append(Skipped(name, reason))
        else:
            skipped.append(Skipped(name, "its form is in no list"))
    if not used:
        raise DataError(
            f"iam-ondb: none of {len(lines)} lines is in a list; expected lists of form names such as a01-000u"
        )
    return made(used, skipped, drawn=None, notes=_notes(options, used, lines, home, skipped))


def _line(name: str) -> _Line | None:
    """Which line a file is; None for the corpus's other XML files, those of whole forms and of writers."""
    match = None if hidden(name) else _LINE.fullmatch(base(name))
    return None if match is None else _Line(match["form"].lower(), int(match["line"]))


def _forms(wanted: str, names: Collection[str], side: Side) -> set[str]:
    """The forms of a list, whose files may lie anywhere; of several the one nearest to the source counts."""
    found = sorted((name for name in names if base(name).lower() == wanted), key=_depth)
    if not found:
        raise DataError(
            f"iam-ondb: no {wanted}; expected the lists of the task IAM-OnDB-t1 ({', '.join(LISTS)}) beside or under "
            "the strokes: copy them there"
        )
    forms = [word.lower() for word in (side(found[0]) or "").split()]
    wrong = next((form for form in forms if not _FORM.fullmatch(form)), None)
    if wrong is not None or not forms:
        what = f"holds {wrong[:40]!r}" if wrong else "is empty or unreadable"
        raise DataError(f"iam-ondb: {found[0]} {what}; expected one name of a form a line, such as a01-000u")
    return set(forms)


def _parts(lists: Mapping[str, set[str]], chosen: Mapping[str, Part]) -> dict[str, Part]:
    """The part of every form."""
    parts: dict[str, Part] = {}
    for wanted, part in chosen.items():
        for form in lists[wanted]:
            if parts.setdefault(form, part) != part:
                raise DataError(
                    f"iam-ondb: form {form} is in {wanted} and in the list of another part; expected each form in one "
                    "list, as the corpus has them"
                )
    return parts


def _texts(lines: Mapping[str, _Line], names: Collection[str], side: Side) -> dict[str, str]:
    """Transcripts of the lines of forms whose files are as many as their transcript's lines."""
    files = {stem(name).lower(): name for name in sorted(names, key=_depth, reverse=True) if _ascii(name)}
    forms: dict[str, list[tuple[int, str]]] = {}
    for name, line in lines.items():
        forms.setdefault(line.form, []).append((line.number, name))
    texts: dict[str, str] = {}
    for form, numbered in forms.items():
        words = transcript(side(files[form])) if form in files else []
        if len(words) == len(numbered):
            texts |= {name: text for (_, name), text in zip(sorted(numbered), words, strict=True)}
    return texts


def _ascii(name: str) -> bool:
    return suffix(name) == ".txt" and _FORM.fullmatch(stem(name).lower()) is not None


def _depth(name: str) -> tuple[int, str]:
    return name.count("/"), name


def _notes(
    options: IamOptions,
    used: Collection[Used],
    lines: Mapping[str, _Line],
    home: Mapping[str, str],
    skipped: Collection[Skipped],
) -> list[str]:
    counts = Counter(home.get(line.form, "no list") for line in lines.values())
    notes = [
        f"iam-ondb: {len(lines)} lines ({FULL}): {beside({wanted: counts[wanted] for wanted in LISTS}, LISTS)}, "
        f"{counts['no list']} in no list; in parentheses those of the full corpus",
        f"iam-ondb: --lists {options.lists}: "
        + ", ".join(f"{wanted} is {part}" for wanted, part in _PARTS[options.lists].items()),
        f"iam-ondb: {sum(one.text is None for one in used)} of {len(used)} lines are without transcript",
    ]
    unknown = sum(one.speaker is None for one in used)
    sides: dict[str, set[str | None]] = {}
    for one in used:
        if one.speaker is not None:
            sides.setdefault(one.speaker, set()).add(one.part)
    shared = sum(len(parts) > 1 for parts in sides.values())
    notes.append(
        f"iam-ondb: {len(sides)} writers are known, {unknown} lines are without writer; "
        f"{shared} writers are in several parts"
    )
    return notes
