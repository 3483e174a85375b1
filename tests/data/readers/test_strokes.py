"""Archives of pen strokes: every distribution of them, and what is left out of one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data.audio import UnusableError
from pyro_vrnn.data.readers import archives
from pyro_vrnn.data.readers.strokes import read

from .files import archive, header, npy, parts, pen, pickled, python2


def write(folder: Path, content: bytes, name: str = "a.npz") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.dictionaries(st.sampled_from(["train", "valid", "test"]), st.lists(st.integers(2, 9), min_size=1)),
    dtype=st.sampled_from(["<i2", ">i2", "<i4", "<i8", "<f4", "<f8"]),
    protocol=st.sampled_from([2, 3, 4, 5]),
    numpy1=st.booleans(),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, lengths: dict[str, list[int]], dtype: str, protocol: int, numpy1: bool
) -> None:
    if not lengths:
        return
    sets = {key: [pen(n, n, dtype) for n in each] for key, each in lengths.items()}
    packed = {key: pickled(each, protocol, numpy1=numpy1) for key, each in sets.items()}
    found = read(write(tmp_path_factory.mktemp("strokes"), parts(**packed)), "b/a.npz")
    expected = [(part, rows) for part in ("train", "valid", "test") for rows in sets.get(part, [])]
    named = {"train": "train", "valid": "validation", "test": "test"}
    assert [item.part for item in found.items] == [named[part] for part, _ in expected]
    if len(expected) > 1:
        assert [item.name for item in found.items] == [f"b/a.npz#{k}" for k in range(len(expected))]
    else:
        assert found.items[0].name == "b/a.npz"
    for item, (_, rows) in zip(found.items, expected, strict=True):
        assert item.values.dtype == {"i2": np.int16, "i4": np.int32, "i8": np.int32}.get(dtype[1:], np.float32)
        np.testing.assert_array_equal(item.values, rows)


def test_archives_of_python_2(tmp_path: Path) -> None:
    rows = [pen(0, 5), pen(1, 300), pen(2, 2)]
    found = read(write(tmp_path, parts(train=python2(rows))), "a.npz")
    for item, array in zip(found.items, rows, strict=True):
        np.testing.assert_array_equal(item.values, array)


def test_sequences_of_one_length(tmp_path: Path) -> None:
    rows = np.stack([pen(seed, 4) for seed in range(3)])
    for array in (rows, rows.astype(object)):
        found = read(write(tmp_path, npy(array), "a.npy"), "a.npy")
        np.testing.assert_array_equal([item.values for item in found.items], rows)


def test_one_array_a_sequence_and_one_in_a_file(tmp_path: Path) -> None:
    found = read(write(tmp_path, archive({"x.npy": npy(pen(0, 4)), "y.npy": npy(pen(1, 5, "<f8"))})), "a.npz")
    assert [(item.name, len(item.values), item.part) for item in found.items] == [
        ("a.npz#0", 4, None),
        ("a.npz#1", 5, None),
    ]
    found = read(write(tmp_path, npy(pen(0, 4)), "a.npy"), "a.npy")
    assert [item.name for item in found.items] == ["a.npy"]


def faulty() -> list[tuple[object, str]]:
    lifted = pen(0, 5)
    lifted[2, 2] = 2
    endless = pen(0, 5, "<f4")
    endless[1, 0] = np.inf
    return [
        (lifted, "no pen"),
        (endless, "finite"),
        (np.full((4, 3), 1 << 40), "more than 32 bits"),
        (np.full((4, 3), 1e300), "float32"),
        (np.zeros((4, 5), np.int16), r"shape \(4, 5\); expected \(T, 3\)"),
        (np.zeros(12, np.int16), r"shape \(12,\)"),
        (np.zeros((1, 3), np.int16), "1 row; expected at least 2"),
        (np.zeros((0, 3), np.int16), "no values"),
        (np.zeros((4, 3), complex), "complex"),
        (np.zeros((4, 3), "U3"), "text"),
        (pen(0, 4).astype(object), "objects"),
        (None, "NoneType where an array belongs"),
        ([1, 2, 3], "list where an array belongs"),
        (7, "int where an array belongs"),
    ]


def test_faulty_sequences_are_left_out_with_their_place(tmp_path: Path) -> None:
    sequences = [pen(9, 4), *(sequence for sequence, _ in faulty()), pen(9, 4)]
    found = read(write(tmp_path, parts(train=pickled(sequences))), "a.npz")
    assert [item.name for item in found.items] == ["a.npz#0", f"a.npz#{len(sequences) - 1}"]
    assert [path for path, _ in found.skipped] == [f"a.npz#{k + 1}" for k in range(len(faulty()))]


@pytest.mark.parametrize(("sequence", "reason"), faulty())
def test_a_file_of_one_faulty_sequence(tmp_path: Path, sequence: object, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        read(write(tmp_path, parts(train=pickled([sequence]))), "a.npz")


def test_what_is_no_part_is_said(tmp_path: Path) -> None:
    found = read(write(tmp_path, parts(train=pickled([pen(0, 4)]), mean=npy(np.zeros(2)))), "a.npz")
    assert [item.part for item in found.items] == ["train"]
    assert found.skipped == (("a.npz#1", "'mean' is no part: expected train, valid and test"),)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (parts(train=pickled([])), "no sequences"),
        (archive({}), "no arrays"),
        (archive({"../train.npy": npy(pen(0, 4))}), "leaves its folder"),
        (archive({"/train.npy": npy(pen(0, 4))}), "leaves its folder"),
        (archive({"a/../../train.npy": npy(pen(0, 4))}), "leaves its folder"),
        (archive({"..\\train.npy": npy(pen(0, 4))}), "leaves its folder"),
        (archive({"C:\\train.npy": npy(pen(0, 4))}), "leaves its folder"),
        (archive({"train.txt": b"text"}), "expected .npy members"),
        (archive({"train.npy": b"text"}).replace(b"train.npy", b"\0rain.npy"), "holds ''; expected .npy"),
        (archive({"train.npy": b"text"}), "not a NumPy array"),
        (archive({"\x1b[2J\n.npy": b"text"}), "not a NumPy array"),
        (archive({"\x1b[2J\n.txt": b"text"}), "expected .npy members"),
        (archive({"train.npy": header("<i2", (10**15, 3)) + bytes(60)}), "truncated: 60 of"),
        (archive({"train.npy": header("<i2", (10**15, 0)) + bytes(60)}), "shape"),
        (archive({"train.npy": header("<i2", (20, 3)) + bytes(121)}), "1 bytes follow"),
        (b"PK\x03\x04" + bytes(100), "damaged archive"),
        (b"text", "damaged archive"),
        (b"", "empty"),
    ],
)
def test_what_is_no_archive_of_strokes(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason) as caught:
        read(write(tmp_path, content), "a.npz")
    assert str(caught.value).isprintable()


def test_a_bomb_is_refused_by_what_it_announces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED", 1 << 20)
    content = archive({"train.npy": header("<i2", (1 << 20, 3)) + bytes(6 << 20)})
    assert len(content) < 10_000
    with pytest.raises(UnusableError, match="cut it into several"):
        read(write(tmp_path, content), "a.npz")
    size = (len(header("<i2", (1 << 20, 3))) + (6 << 20)).to_bytes(4, "little")
    assert content.count(size) == 2
    with pytest.raises(UnusableError, match=r"truncated|damaged"):  # it says less in its lists than in its header
        read(write(tmp_path, content.replace(size, (1000).to_bytes(4, "little"))), "a.npz")


def test_encrypted_and_otherwise_packed_members(tmp_path: Path) -> None:
    content = bytearray(archive({"train.npy": npy(pen(0, 4))}, packed=False))
    entry = content.index(b"PK\x01\x02")
    locked = bytearray(content)
    locked[entry + 8] |= 1
    with pytest.raises(UnusableError, match="encrypted"):
        read(write(tmp_path, locked), "a.npz")
    content[entry + 10] = 14
    with pytest.raises(UnusableError, match="method 14"):
        read(write(tmp_path, content), "a.npz")


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = bytearray(archive({"train.npy": npy(pen(0, 40))}, packed=False))
    content[200] ^= 1
    with pytest.raises(UnusableError, match="CRC"):
        read(write(tmp_path, content), "a.npz")


@pytest.mark.parametrize(
    ("file", "counts", "first"),
    [
        ("kanji/short_kanji.npz", {"train": 10000, "validation": 600, "test": 500}, [-1, 25, 0]),
        ("omniglot/omniglot.npz", {"train": 30000, "validation": 1000, "test": 1000}, None),
    ],
)
def test_published_archives(shared_data: Path, file: str, counts: dict[str, int], first: list[int] | None) -> None:
    found = read(shared_data / file, file)
    assert not found.skipped
    assert {part: sum(item.part == part for item in found.items) for part in counts} == counts
    assert len(found.items) == sum(counts.values())
    assert first is None or found.items[0].values[0].tolist() == first
    assert {item.values.dtype for item in found.items} == {np.dtype(np.int16)}
    assert all(item.values[-1, 2] == 1 for item in found.items)
