"""Splits: partitions, seeds, speakers, lists, and contradictions."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import DataOptions
from pyro_vrnn.data.splits import Split, check_options, find_speakers, split_names

from .files import Refused

NAMES = [f"{speaker}/{take:02d}.wav" for speaker in "abcdefgh" for take in range(12)]
SPEAKER = r"^(\w+)/"


def split(names: list[str], seed: int = 0, skipped: tuple[str, ...] = (), **chosen: Any) -> Split:
    options = DataOptions(source="folder", **chosen)
    return split_names(names, find_speakers(names, options), options, seed=seed, skipped=skipped)


def named(names: list[str], parts: Split) -> list[set[str]]:
    return [{names[i] for i in part} for part in parts]


@settings(deadline=None)
@given(data=st.data(), seed=st.integers(-5, 5), count=st.integers(3, 96), by=st.sampled_from(["random", "speaker"]))
def test_parts_are_a_partition_that_no_order_changes(data: st.DataObject, seed: int, count: int, by: str) -> None:
    names = data.draw(st.permutations(NAMES))[:count]
    if by == "speaker" and len({name[0] for name in names}) < 3:
        return
    parts = split(names, seed, split=by, speaker_pattern=SPEAKER)
    assert sorted(i for part in parts for i in part) == list(range(count))
    assert all(part and part == sorted(part) for part in parts)
    again = data.draw(st.permutations(names))
    assert named(again, split(again, seed, split=by, speaker_pattern=SPEAKER)) == named(names, parts)
    if by == "speaker":
        speakers = [{name[0] for name in part} for part in named(names, parts)]
        assert sum(len(s) for s in speakers) == len(set.union(*speakers))


def test_fractions_are_of_files_or_of_speakers() -> None:
    assert [len(part) for part in split(NAMES, validation=0.25, test=0.125)] == [60, 24, 12]
    parts = split(NAMES, split="speaker", speaker_pattern=SPEAKER, validation=0.25, test=0.125)
    assert [len(part) for part in parts] == [60, 24, 12]


def test_seeds_draw_different_parts() -> None:
    assert len({tuple(split(NAMES, seed).test) for seed in range(5)}) == 5
    assert split(NAMES, 1) == split(NAMES, 1)


def test_a_pattern_names_the_test_files() -> None:
    train, validation, test = named(NAMES, split(NAMES, test_pattern=r"/0[0-4]\.wav$"))
    assert test == {name for name in NAMES if name[2:4] < "05"}
    assert len(validation) == round(0.05 * 56)
    assert len(train) == 56 - len(validation)


def test_a_list_names_the_test_files(tmp_path: Path) -> None:
    listed = tmp_path / "test.txt"
    listed.write_text("\ufeffa/00.wav\r\n\n  ./b/03.wav  \nskipped.wav\n", encoding="utf-8")
    parts = split(NAMES, split="list", test_list=str(listed), skipped=("skipped.wav",))
    assert named(NAMES, parts)[2] == {"a/00.wav", "b/03.wav"}


def test_an_unknown_name_in_a_list_is_refused(tmp_path: Path, refused: Refused) -> None:
    listed = tmp_path / "test.txt"
    listed.write_text("a/00.wav\nz/1.wav\nz/2.wav\n")
    with refused(f"--test-list {listed}", "z/1.wav is not in", "relative"):
        split(NAMES, split="list", test_list=str(listed))
    listed.write_bytes(b"\xff\xfe\xfa")
    with refused("not UTF-8"):
        split(NAMES, split="list", test_list=str(listed))
    with refused("nowhere.txt", "cannot be read"):
        split(NAMES, split="list", test_list=str(tmp_path / "nowhere.txt"))


@pytest.mark.parametrize("pattern", ["nothing", "wav"])
def test_a_pattern_that_separates_nothing_is_refused(pattern: str, refused: Refused) -> None:
    with refused(f"--test-pattern {pattern}", "none of 96" if pattern == "nothing" else "all of 96", "a/00.wav"):
        split(NAMES, test_pattern=pattern)


def test_parts_that_would_be_empty_are_refused(refused: Refused) -> None:
    with refused("2 files are too few", "1 in test", "1 in validation"):
        split(NAMES[:2])
    with refused("1 files outside the test set", "--validation"):
        split(NAMES[:2], test_pattern="00")
    with refused("1 speakers are too few"):
        split(NAMES[:9], split="speaker", speaker_pattern=SPEAKER)
    with refused("96 files are too few", "lower --validation and --test"):
        split(NAMES, validation=0.5, test=0.5)


def test_a_speaker_on_two_sides_is_refused(refused: Refused) -> None:
    with refused("--test-pattern 00", "speaker a is in the test set and outside"):
        split(NAMES, split="speaker", speaker_pattern=SPEAKER, test_pattern="00")
    parts = split(NAMES, split="speaker", speaker_pattern=SPEAKER, test_pattern="^[ab]/")
    assert len(parts.test) == 24


def test_speakers(refused: Refused) -> None:
    assert find_speakers(NAMES[:2], DataOptions()) is None
    assert find_speakers(["x/b_a_3.wav"], DataOptions(speaker_pattern="_([a-z]+)_")) == ["a"]
    with refused("--speaker-pattern _(.)_", "no speaker in b.wav"):
        find_speakers(["_a_", "b.wav"], DataOptions(speaker_pattern="_(.)_"))


@pytest.mark.parametrize(
    ("chosen", "parts"),
    [
        ({"split": "speaker"}, ["--split speaker", "--speaker-pattern"]),
        ({"split": "list"}, ["--split list", "--test-list"]),
        ({"test_list": "t.txt"}, ["--test-list t.txt", "--split list"]),
        ({"split": "list", "test_list": "t.txt", "test_pattern": "a"}, ["--test-pattern", "--split list"]),
        ({"test_pattern": "("}, ["--test-pattern (", "not a regular expression"]),
        ({"speaker_pattern": "["}, ["--speaker-pattern [", "not a regular expression"]),
        ({"speaker_pattern": "a"}, ["--speaker-pattern a", "no group"]),
    ],
)
def test_options_without_meaning_are_refused(chosen: dict, parts: list[str], refused: Refused) -> None:
    with refused(*parts):
        check_options(DataOptions(**chosen))
