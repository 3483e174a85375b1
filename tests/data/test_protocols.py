"""What protocols make of the corpora as they are distributed."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data.options import DataOptions
from pyro_vrnn.data.protocols import PROTOCOLS, Plan, apportion, defaults, side_files
from pyro_vrnn.data.splits import split_names
from pyro_vrnn.errors import ConfigurationError, DataError

from . import corpora
from .corpora import WRITERS
from .files import Refused, noise, write

FOLDERS = ["TRAIN/DR1/FCJF0", "train/dr1/mabc0", "TEST/DR2/MABC1", "dr9", "segmented", "wavn", "lineStrokes/a01", "é"]
FILES = [
    "SA1.WAV",
    "sa1.wav",
    "SA1.WAV.wav",
    "SX1.sph",
    ".wav",
    "._x.wav",
    "�.wav",
    "english1.mp3",
    "x.npz",
    "a.csv",
    "prompts.gui",
    "forms.txt",
    "a01-000u-01.xml",
    "a01-000u.txt",
    "strokesu.xml",
    "speakers_all.csv",
    "reading-passage.txt",
    "trainset.txt",
    "testset_v.txt",
    "testset_t.txt",
    "testset_f.txt",
]
PATHS = st.builds(
    lambda folders, name: "/".join([*folders, name]),
    st.lists(st.sampled_from(FOLDERS), max_size=3),
    st.sampled_from(FILES),
)
TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", "a01-000u\n", "CSR:\n\nx\n", '<Form writerID="1"', "0 1 x", "a,b\n1\n", "filename\nx\0"]),
    st.text(max_size=40),
)


def plan(corpus: str, root: Path, seed: int = 0, names: list[str] | None = None, **given: Any) -> Plan:
    return PROTOCOLS[corpus].plan_folder(corpora.names(root) if names is None else names, given, seed, root)


def speakers(planned: Plan) -> dict[str | None, set[str | None]]:
    """The speakers of every part."""
    sides: dict[str | None, set[str | None]] = {}
    for one in planned.used:
        sides.setdefault(one.part, set()).add(one.speaker)
    return sides


def shared(planned: Plan) -> int:
    """How many speakers are on more than one side."""
    return sum(count > 1 for count in Counter(who for side in speakers(planned).values() for who in side).values())


@pytest.mark.parametrize("corpus", WRITERS)
def test_a_plan_is_a_function_of_the_names_and_not_of_their_order(corpus: str, tmp_path: Path) -> None:
    WRITERS[corpus](tmp_path)
    found = corpora.names(tmp_path)
    planned = plan(corpus, tmp_path)
    assert planned == plan(corpus, tmp_path, names=found[::-1])
    listed = [one.name for one in planned.used] + [one.path for one in planned.skipped]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(found)
    assert [one.name for one in planned.used] == sorted(one.name for one in planned.used)
    assert (planned.drawn is None) == (defaults(corpus).split == "own")
    assert all((one.part is None) == (planned.drawn is not None) for one in planned.used)


@pytest.mark.parametrize("corpus", PROTOCOLS)
def test_a_folder_of_something_else_is_refused_in_one_line(corpus: str, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    with refused(corpus, "expected"):
        plan(corpus, tmp_path)


@pytest.mark.parametrize("corpus", PROTOCOLS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_any_names_and_any_side_files_give_a_plan_or_one_line(corpus: str, data: st.DataObject) -> None:
    names = data.draw(st.lists(PATHS, unique=True, max_size=12))
    contents = {name: data.draw(TEXTS, label=name) for name in names}
    protocol = PROTOCOLS[corpus]
    try:
        planned = protocol.plan(names, protocol.parse({}), seed=0, side=lambda name, limit=0: contents[name])
    except DataError as error:
        message = str(error)
    else:
        message = ""
        assert planned.used
        assert {one.name for one in planned.used}.isdisjoint(one.path for one in planned.skipped)
    assert "\n" not in message


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


def test_parts_of_iam_are_those_of_its_lists(tmp_path: Path) -> None:
    corpora.write_iam(tmp_path)
    (tmp_path / "lineStrokes-all/lineStrokes/a01/a01-000/._a01-000u-01.xml").write_bytes(b"\0")
    where = {
        "paper": {"trainset.txt": "train", "testset_f.txt": "train", "testset_t.txt": "validation"}
        | {"testset_v.txt": "test"},
        "t1": {"trainset.txt": "train", "testset_v.txt": "validation", "testset_f.txt": "test"},
    }
    for lists, parts in where.items():
        planned = plan("iam-ondb", tmp_path, lists=lists)
        expected = {
            f"{form}-{number:02d}": (parts[wanted], writer, text)
            for form, (wanted, writer, words) in corpora.FORMS.items()
            for number, text in enumerate(words, start=1)
            if wanted in parts
        }
        assert {Path(one.name).stem: (one.part, one.speaker, one.text) for one in planned.used} == expected
        assert len(planned.used) + len(planned.skipped) == 10
        assert shared(planned) == 0
    reasons = {Path(one.path).stem: one.reason for one in planned.skipped}
    assert reasons == {
        "b05-032z-01": "in testset_t.txt alone, which --lists t1 leaves out",
        "b05-032z-02": "in testset_t.txt alone, which --lists t1 leaves out",
        "d06-037-01": "its form is in no list",
    }
    assert "10 lines (12195): 4 trainset.txt (5364), 2 testset_v.txt (1438)" in planned.notes[0]


@pytest.mark.parametrize("source", ["forms.txt", "originals", "neither"])
def test_writers_of_iam(source: str, tmp_path: Path) -> None:
    corpora.write_iam(tmp_path, forms_txt=source == "forms.txt", originals=source == "originals")
    planned = plan("iam-ondb", tmp_path)
    known = {"train": {"10001", "10002", "10003"}, "validation": {"10004"}, "test": {"10005"}}
    assert speakers(planned) == ({part: {None} for part in known} if source == "neither" else known)
    count = 0 if source == "neither" else 5
    assert f"{count} writers are known, {9 - 9 * count // 5} lines are without writer" in planned.notes[-1]


def test_a_writer_in_several_parts_of_iam_is_counted(tmp_path: Path) -> None:
    corpora.write_iam(tmp_path, originals=False)
    (tmp_path / "forms.txt").write_text("# form writer\na01-000u 7\nc02-035\t7\n")
    assert (
        "1 writers are known, 5 lines are without writer; 1 writers are in several parts"
        in plan("iam-ondb", tmp_path).notes[-1]
    )


def test_lines_that_do_not_match_their_transcript_have_none(tmp_path: Path) -> None:
    corpora.write_iam(tmp_path)
    (tmp_path / "lineStrokes-all/lineStrokes/a01/a01-000/a01-000u-01.xml").unlink()
    (tmp_path / "ascii-all/ascii/c02/c02-035/c02-035.txt").unlink()
    planned = plan("iam-ondb", tmp_path)
    without = [Path(one.name).stem for one in planned.used if one.text is None]
    assert without == ["a01-000u-02", "c02-035-01", "c02-035-02"]
    assert "3 of 8 lines are without transcript" in planned.notes[2]


def test_lists_of_iam_that_are_missing_or_wrong_are_refused(tmp_path: Path, refused: Refused) -> None:
    corpora.write_iam(tmp_path)
    (tmp_path / "testset_v.txt").write_text("a01-000u\n")
    with refused("form a01-000u is in testset_v.txt and", "each form in one list"):
        plan("iam-ondb", tmp_path, lists="t1")
    (tmp_path / "testset_v.txt").write_text("a01-000u-01\n")
    with refused("testset_v.txt holds 'a01-000u-01'", "a01-000u"):
        plan("iam-ondb", tmp_path)
    (tmp_path / "testset_v.txt").write_text("")
    with refused("testset_v.txt is empty"):
        plan("iam-ondb", tmp_path)
    (tmp_path / "testset_v.txt").unlink()
    with refused("no testset_v.txt", "IAM-OnDB-t1"):
        plan("iam-ondb", tmp_path)
    for k, name in enumerate(("trainset.txt", "testset_v.txt", "testset_t.txt", "testset_f.txt")):
        (tmp_path / name).write_text(f"d07-09{k}\n")
    with refused("none of 10 lines is in a list"):
        plan("iam-ondb", tmp_path, lists="t1")


def test_copies_of_a_line_are_read_once(tmp_path: Path) -> None:
    corpora.write_iam(tmp_path)
    copy = tmp_path / "backup/old/lineStrokes-all/lineStrokes/a01/a01-000/a01-000u-01.xml"
    copy.parent.mkdir(parents=True)
    copy.write_text("other")
    planned = plan("iam-ondb", tmp_path)
    assert len(planned.used) == 9
    assert {one.path: one.reason for one in planned.skipped}[copy.relative_to(tmp_path).as_posix()] == (
        "another copy of lineStrokes-all/lineStrokes/a01/a01-000/a01-000u-01.xml"
    )


def test_folders_without_a_protocol_use_their_own_kind() -> None:
    names = ["a.wav", "b/c.flac", "d.npz", "e.npy", "f.csv", "g.parquet", "h.txt", "i.WAV"]
    expected = {
        "audio": ["a.wav", "b/c.flac", "i.WAV"],
        "onomatopoeia": ["a.wav", "b/c.flac", "i.WAV"],
        "strokes": ["d.npz", "e.npy"],
        "arrays": ["d.npz", "e.npy", "f.csv", "g.parquet"],
    }
    for corpus, used in expected.items():
        planned = plan(corpus, Path("nowhere"), names=names)
        assert [one.name for one in planned.used] == used
        assert planned.drawn == "files"


@given(count=st.integers(20, 200), seed=st.integers(0, 99))
def test_parts_are_apportioned_as_folders_are_split(count: int, seed: int) -> None:
    units = [f"{k}.wav" for k in range(count)]
    parts = apportion(units, seed=seed, validation=0.05, test=0.05, corpus="audio")
    split = split_names(units, None, DataOptions(), seed=seed)
    assert {name: [k for k in range(count) if parts[k] == name] for name in split._fields} == split._asdict()
    twice = apportion(units * 2, seed=seed, validation=0.05, test=0.05, corpus="audio")
    assert twice == parts * 2


def test_too_few_units_are_refused(refused: Refused) -> None:
    with refused("accent: 2 are too few for 1 in test, 1 in validation"):
        apportion(["a", "b", "a"], seed=0, validation=0.05, test=0.05, corpus="accent")


@pytest.mark.parametrize(
    ("corpus", "given", "message"),
    [
        ("timit", {"lists": "t1"}, "--lists: timit has no such option; expected one of its own: --sa, --validation"),
        ("audio", {"sa": "keep"}, "--sa: audio has no such option; expected one of its own: none"),
        ("timit", {"sa": "no"}, "--sa no: timit: Input should be 'keep' or 'drop'"),
        ("iam-ondb", {"lists": "t2"}, "--lists t2: iam-ondb: Input should be 'paper' or 't1'"),
    ],
)
def test_options_a_corpus_has_not_are_refused(corpus: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PROTOCOLS[corpus].parse(given)
    assert str(caught.value) == message


def test_defaults_are_the_papers() -> None:
    for corpus in ("blizzard", "accent"):
        assert (defaults(corpus).sample_rate, defaults(corpus).segment) == (16000, 0.5)
    for corpus in ("timit", "onomatopoeia"):
        assert (defaults(corpus).sample_rate, defaults(corpus).segment) == (16000, 0.0)
    assert defaults("iam-ondb").kind == "pen"
    assert defaults("blizzard").options() == {"sample_rate": 16000, "resample": True, "mix": True, "segment": 0.5}
    assert defaults("timit").options() == {"sample_rate": 16000, "segment": 0.0}
    assert defaults("iam-ondb").options() == defaults("audio").options() == {}
    for name, protocol in PROTOCOLS.items():
        assert DataOptions(**defaults(name).options()).split == "random"
        assert protocol.name == name
    with pytest.raises(ConfigurationError, match="libri: no such corpus; expected one of blizzard, timit"):
        defaults("libri")


def test_side_files_are_text_of_any_age(tmp_path: Path) -> None:
    side = side_files(tmp_path)
    (tmp_path / "new.txt").write_bytes("\ufeffnaïve".encode())
    (tmp_path / "old.txt").write_bytes("naïve".encode("latin-1"))
    assert side("new.txt") == side("old.txt") == "naïve"
    assert side("old.txt", 2) == "na"
    assert side("none.txt") is None
    assert side(".") is None
