import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.tracking.journal import Journal, Record, decode, encode, ends_record, read

records = st.builds(
    Record,
    time=st.integers(0, 2**53),
    step=st.integers(-(2**63), 2**63),
    metrics=st.dictionaries(st.text(), st.floats(), max_size=5),
)


def same(one: Record, other: Record) -> bool:
    return repr(one) == repr(other)  # NaN is NaN, and -0.0 is not 0.0


@settings(deadline=None)
@given(records)
def test_a_line_reads_back_as_the_record(record: Record) -> None:
    line = encode(record)
    assert same(decode(line), record)
    assert line.count(b"\n") == 1


@settings(deadline=None)
@given(st.binary(max_size=60) | st.sampled_from([b"null\n", b"[]\n", b'{"time":1,"step":1e999,"metrics":{}}\n']))
def test_foreign_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(line)


@settings(deadline=None)
@given(st.lists(records, max_size=6), st.data())
def test_any_truncation_loads_the_longest_valid_prefix(written: list[Record], data: st.DataObject) -> None:
    lines = [encode(record) for record in written]
    content = b"".join(lines)
    length = data.draw(st.integers(0, len(content)))
    whole = 0
    while len(b"".join(lines[: whole + 1])) <= length and whole < len(lines):
        whole += 1
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        path.write_bytes(content[:length])
        assert [encode(record) for record, _ in read(path)] == lines[:whole]
        journal = Journal(path)
        assert journal.last is None if whole == 0 else same(journal.last, written[whole - 1])  # type: ignore[arg-type]
        journal.append(Record(1, 2, {"loss": 3.0}))
        journal.close()
        assert path.read_bytes() == b"".join(lines[:whole]) + encode(Record(1, 2, {"loss": 3.0}))


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 8), st.integers(-1, 9))
def test_rewinding_keeps_what_is_delivered_and_what_is_early(steps: list[int], delivered: int, step: int) -> None:
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        start = 0
        for number, logged in enumerate(steps):
            journal.append(Record(number, logged, {}))
            start = journal.size if number < delivered else start
        journal.rewind(step, start)
        journal.append(Record(-1, 10, {}))
        expected = steps[:delivered] + [logged for logged in steps[delivered:] if logged <= step] + [10]
        assert [record.step for record, _ in read(journal.path)] == expected
        assert [path.name for path in Path(folder).iterdir()] == ["journal.jsonl"]
        journal.close()


def test_positions(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    ends = []
    for step in (1, 2, 2, 3):
        journal.append(Record(0, step, {"loss": math.nan}))
        ends.append(journal.size)
    assert [journal.position(step, 0) for step in (0, 1, 2, 3, 4)] == [0, ends[0], ends[2], ends[3], ends[3]]
    assert journal.position(1, ends[1]) == ends[1]
    assert [ends_record(journal.path, position) for position in (0, 1, ends[1], ends[3], ends[3] + 1)] == [
        *(True, False, True, True, False)
    ]


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.close()
    with pytest.raises(OSError, match="descriptor"):
        journal.append(Record(0, 0, {}))
