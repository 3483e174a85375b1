"""Which recordings train, validate and test."""

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..errors import DataError
from .options import DataOptions


class TooFewError(DataError):
    """Recordings that are fewer than three parts need."""


class Split(NamedTuple):
    """Positions of the recordings of each part, ascending; together they are all recordings, each once."""

    train: list[int]
    validation: list[int]
    test: list[int]


def check_nothing_asked(options: DataOptions, usual: DataOptions, stored: Mapping[str, object], what: str) -> None:
    """See that nothing is asked of an embedded set that is fixed.

    Args:
        options: What is asked.
        usual: The set's own options.
        stored: Other values of some that ask for nothing, such as a run stores.
        what: What others have no meaning for.

    Raises:
        DataError: An option has no meaning here.
    """
    for name in DataOptions.model_fields:
        value = getattr(options, name)
        if value == getattr(usual, name) or (name in stored and value == stored[name]):
            continue
        typed = f"--set data.{name}=" if name in ("validation", "test") else f"--{name.replace('_', '-')} "
        typed = f"{typed}{'' if value is True else value}".rstrip()
        raise DataError(f"--data {usual.source}: {typed} has no meaning for {what}; leave it out")


def check_options(options: DataOptions) -> None:
    """See that what is said about splits makes sense, before anything is read.

    Raises:
        DataError: Options contradict each other, or one is no regular expression or no readable file.
    """
    if options.split == "list" and options.test_list is None:
        raise DataError("--split list: no list; pass --test-list FILE with one relative path a line")
    if options.split != "list" and options.test_list is not None:
        raise DataError(f"--test-list {options.test_list}: not read by --split {options.split}; pass --split list")
    if options.split == "list" and options.test_pattern is not None:
        raise DataError("--test-pattern and --split list both name the test files; pass one of them")
    if options.split == "speaker" and options.speaker_pattern is None:
        raise DataError("--split speaker: no speakers; pass --speaker-pattern RE whose first group is the speaker")
    if options.test_pattern is not None:
        _compile("--test-pattern", options.test_pattern)
    if options.speaker_pattern is not None and not _compile("--speaker-pattern", options.speaker_pattern).groups:
        raise DataError(
            f"--speaker-pattern {options.speaker_pattern}: no group; put the speaker's part in parentheses, "
            "such as '^([^/]+)/'"
        )
    if options.test_list is not None:
        _read_list(options.test_list)


def find_speakers(names: Sequence[str], options: DataOptions) -> list[str] | None:
    """The speaker of each recording, or None without `options.speaker_pattern`.

    Raises:
        DataError: The pattern finds no speaker in a name, or as `check_options` does.
    """
    if options.speaker_pattern is None:
        return None
    check_options(options)
    pattern = _compile("--speaker-pattern", options.speaker_pattern)
    speakers = []
    for name in names:
        found = pattern.search(name)
        if found is None or not found[1]:
            raise DataError(f"--speaker-pattern {options.speaker_pattern}: finds no speaker in {name}")
        speakers.append(found[1])
    return speakers


def split_names(
    names: Sequence[str],
    speakers: Sequence[str] | None,
    options: DataOptions,
    *,
    seed: int,
    skipped: Collection[str] = (),
) -> Split:
    """Divide recordings into three parts.

    What is drawn depends on the seed and the set of names alone, never on their order.

    Args:
        names: Paths relative to the source.
        speakers: Each recording's speaker, as found by `find_speakers`.
        options: How to split.
        seed: Which random split.
        skipped: Names that exist but are not used; a test list may name them.

    Raises:
        TooFewError: A part would be empty.
        DataError: As `check_options` does.
    """
    check_options(options)
    kind, units = ("files", names) if options.split != "speaker" or speakers is None else ("speakers", speakers)
    test = _named_test(names, options, skipped)
    drawable = {unit for unit, name in zip(units, names, strict=True) if test is None or name not in test}
    drawn = 0 if test is not None else share(options.test, len(drawable))
    held = share(options.validation, len(drawable))
    if drawn + held >= len(drawable):
        where = "" if test is None else " outside the test set"
        raise TooFewError(
            f"--data {options.source}: {len(drawable)} {kind}{where} are too few for {drawn} in test, {held} in "
            "validation and the rest in training; expected more recordings, or lower --validation and --test"
        )
    side = draw(drawable, seed=seed, test=drawn, validation=held)
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for i, (unit, name) in enumerate(zip(units, names, strict=True)):
        is_named = test is not None and name in test
        if is_named and unit in drawable:
            raise DataError(
                f"--test-pattern {options.test_pattern}: speaker {unit} is in the test set and outside it; "
                "--split speaker needs a pattern that keeps each speaker on one side"
            )
        parts["test" if is_named else side.get(unit, "train")].append(i)
    return Split(**parts)


def draw(units: Collection[str], *, seed: int, validation: int, test: int = 0) -> dict[str, str]:
    """Draw that many units for validation and test; the part of every drawn one. The others train.

    What is drawn depends on the seed and the set of units alone, never on their order.
    """
    order = sorted(set(units), key=lambda unit: hashlib.sha256(os.fsencode(f"{seed}:{unit}")).digest())
    return dict.fromkeys(order[:test], "test") | dict.fromkeys(order[test : test + validation], "validation")


def share(fraction: float, count: int) -> int:
    """How many of `count` units a part with this fraction has: at least one."""
    return max(1, round(fraction * count))


def _named_test(names: Sequence[str], options: DataOptions, skipped: Collection[str]) -> set[str] | None:
    """The test files that a pattern or a list names; None without either."""
    if options.test_list is not None:
        option = f"--test-list {options.test_list}"
        listed = _read_list(options.test_list)
        known = set(names)
        for name in listed:
            if name not in known and name not in skipped:
                raise DataError(f"{option}: {name} is not in --data {options.source}; expected paths relative to it")
        test = known & set(listed)
    elif options.test_pattern is not None:
        option = f"--test-pattern {options.test_pattern}"
        pattern = _compile("--test-pattern", options.test_pattern)
        test = {name for name in names if pattern.search(name)}
    else:
        return None
    if len(test) in (0, len(names)):
        raise DataError(
            f"{option}: {'none' if not test else 'all'} of {len(names)} files are test files; expected some of them "
            f"(paths are relative to --data, such as {names[0]})"
        )
    return test


def _compile(option: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DataError(f"{option} {pattern}: not a regular expression ({error})") from None


def _read_list(path: str) -> list[str]:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"--test-list {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"--test-list {path}: not UTF-8 text; expected one relative path a line") from None
    return [str(PurePosixPath(line.strip())) for line in text.splitlines() if line.strip()]
