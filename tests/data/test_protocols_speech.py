"""What protocols make of TIMIT, Blizzard and the Speech Accent Archive."""

from collections import Counter
from pathlib import Path

import pytest

from . import corpora
from .corpora import plan, shared, speakers
from .files import Refused, noise, write


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("top", ["", "TIMIT/", "data/"])
def test_timit_in_either_case_and_under_any_root(lower: bool, top: str, tmp_path: Path) -> None:
    corpora.write_timit(tmp_path, lower=lower, top=top)
    planned = plan("timit", tmp_path)
    assert len(planned.used) == 24
    assert not planned.skipped
    assert planned.drawn is None
    sides = speakers(planned)
    assert sides["test"] == set(corpora.TEST)
    assert len(sides["validation"]) == 1
    assert sides["train"] | sides["validation"] == set(corpora.TRAIN)
    assert shared(planned) == 0
    assert {one.text for one in planned.used} == set(corpora.SENTENCES.values())
    assert "16 train (4620), 8 test (1680)" in planned.notes[0]


def test_timit_without_the_sentences_that_everyone_reads(tmp_path: Path) -> None:
    corpora.write_timit(tmp_path)
    planned = plan("timit", tmp_path, sa="drop")
    assert len(planned.used) == 12
    assert len(planned.skipped) == 12
    assert all("/SA" in one.path and "SA sentence" in one.reason for one in planned.skipped)
    assert not any("/SA" in one.name for one in planned.used)
    assert "8 train (3696), 4 test (1344)" in planned.notes[0]


def test_a_riff_copy_of_a_sphere_file_is_never_read_beside_it(tmp_path: Path) -> None:
    corpora.write_timit(tmp_path, copies=True)
    planned = plan("timit", tmp_path)
    assert len(planned.used) == len(planned.skipped) == 24
    assert not any(one.name.endswith(".WAV.wav") for one in planned.used)
    first = planned.skipped[0]
    assert first.reason == f"another copy of {first.path.removesuffix('.wav')}"
    for path in tmp_path.rglob("*.WAV"):
        path.unlink()
    alone = plan("timit", tmp_path)
    assert len(alone.used) == 24
    assert not alone.skipped
    assert {one.text for one in alone.used} == set(corpora.SENTENCES.values())


def test_sphere_goes_before_a_copy_whatever_their_case(tmp_path: Path) -> None:
    corpora.write_timit(tmp_path, top="")
    (tmp_path / "TRAIN/DR1/FCJF0/SA1.WAV").rename(tmp_path / "TRAIN/DR1/FCJF0/sa1.wav")
    write(tmp_path / "TRAIN/DR1/FCJF0/SA1.WAV.wav", noise(900))
    planned = plan("timit", tmp_path)
    assert [tuple(one) for one in planned.skipped] == [
        ("TRAIN/DR1/FCJF0/SA1.WAV.wav", "another copy of TRAIN/DR1/FCJF0/sa1.wav")
    ]


def test_speakers_of_timit_validate_by_seed_and_share(tmp_path: Path) -> None:
    corpora.write_timit(tmp_path)
    drawn = {frozenset(speakers(plan("timit", tmp_path, seed))["validation"]) for seed in range(8)}
    assert len(drawn) > 1
    assert len(speakers(plan("timit", tmp_path, validation=0.5))["validation"]) == 2


def test_a_speaker_on_both_sides_of_timit_is_refused(tmp_path: Path, refused: Refused) -> None:
    corpora.write_timit(tmp_path, top="")
    (tmp_path / "TEST/DR1/FCJF0").mkdir()
    (tmp_path / "TEST/DR1/FCJF0/SX1.WAV").write_bytes(corpora.sphere(noise(900)))
    with refused("timit: speaker FCJF0", "under TRAIN/ and under TEST/"):
        plan("timit", tmp_path)


def test_one_training_speaker_of_timit_is_too_few(tmp_path: Path, refused: Refused) -> None:
    found = [f"TRAIN/DR1/FCJF0/SX{k}.WAV" for k in range(3)] + ["TEST/DR1/FAKS0/SX1.WAV"]
    with refused("timit: 1 speakers under TRAIN/"):
        plan("timit", tmp_path, names=found)


def test_counts_of_all_of_timit(tmp_path: Path) -> None:
    """630 speakers with ten sentences each, 462 of them in training: 23 validate."""
    found = [
        f"{part}/DR{k % 8 + 1}/{'FM'[k % 2]}{chr(65 + k // 26)}{chr(65 + k % 26)}{part[1]}0/{sentence}.WAV"
        for part, count in (("TRAIN", 462), ("TEST", 168))
        for k in range(count)
        for sentence in ["SA1", "SA2", *(f"SI{i}" for i in range(3)), *(f"SX{i}" for i in range(5))]
    ]
    for sa, counts in (("keep", [4390, 230, 1680]), ("drop", [3512, 184, 1344])):
        planned = plan("timit", tmp_path, names=found, sa=sa)
        parts = Counter(one.part for one in planned.used)
        assert [parts["train"], parts["validation"], parts["test"]] == counts
        whole = f"{counts[0] + counts[1]} train ({counts[0] + counts[1]}), {counts[2]} test ({counts[2]})"
        assert whole in planned.notes[0]


@pytest.mark.parametrize(
    ("given", "edition"), [({}, "unsegmented"), ({"edition": "segmented"}, "segmented")], ids=["default", "segmented"]
)
def test_one_edition_of_blizzard_is_read(given: dict[str, str], edition: str, tmp_path: Path) -> None:
    corpora.write_blizzard(tmp_path)
    planned = plan("blizzard", tmp_path, **given)
    assert len(planned.used) == len(planned.skipped) == 8
    assert all(one.name.startswith(f"{edition}/") for one in planned.used)
    assert all("edition of the same speech" in one.reason for one in planned.skipped)
    assert planned.drawn == "files"


def test_transcripts_of_blizzard_are_those_of_its_prompts(tmp_path: Path) -> None:
    corpora.write_blizzard(tmp_path, editions=("segmented",))
    planned = plan("blizzard", tmp_path)
    assert [one.text for one in planned.used] == [f"@ Sentence {i} , of Black Beauty ." for i in range(8)]
    (tmp_path / "segmented/prompts.gui").unlink()
    assert {one.text for one in plan("blizzard", tmp_path).used} == {None}


def test_an_edition_of_blizzard_that_is_not_there_is_refused(tmp_path: Path, refused: Refused) -> None:
    corpora.write_blizzard(tmp_path, editions=("segmented",))
    with refused("blizzard: no audio files in a folder unsegmented/"):
        plan("blizzard", tmp_path, edition="unsegmented")


def test_any_folder_of_one_speaker_stands_for_blizzard(tmp_path: Path) -> None:
    names = ["b/01.flac", "b/02.flac", "b/01.mp3", "c/01.mp3", "wav/x.wav", "wavn/x.wav", "notes.txt"]
    planned = plan("blizzard", tmp_path, names=names)
    assert [one.name for one in planned.used] == ["b/01.flac", "b/02.flac", "c/01.mp3", "wav/x.wav"]
    assert [tuple(one) for one in planned.skipped] == [
        ("b/01.mp3", "another copy of b/01.flac"),
        ("wavn/x.wav", "another copy of wav/x.wav"),
    ]


def test_every_recording_of_the_accent_archive_is_a_speaker(tmp_path: Path) -> None:
    corpora.write_accent(tmp_path)
    write(tmp_path / "converted/english1.wav", noise(900))
    planned = plan("accent", tmp_path)
    assert {one.speaker for one in planned.used} == set(corpora.SPEAKERS)
    assert planned.drawn == "speakers"
    assert [one.path for one in planned.skipped] == ["converted/english1.wav"]
    assert {one.text for one in planned.used} == {" ".join(corpora.PASSAGE.split())}
    assert planned.notes[1] == "accent: speakers_all.csv names 7 recordings, of which 1 are not here"


def test_the_papers_shuffle_of_accents_is_labelled(tmp_path: Path) -> None:
    corpora.write_accent(tmp_path)
    planned = plan("accent", tmp_path, shuffle="segments")
    assert planned.drawn == "segments"
    assert "several sides" in planned.notes[-1]
    assert not any("several sides" in note for note in plan("accent", tmp_path).notes)
