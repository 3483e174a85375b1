"""What the protocol makes of IAM-OnDB."""

from pathlib import Path

import pytest

from . import corpora
from .corpora import plan, shared, speakers
from .files import Refused


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
