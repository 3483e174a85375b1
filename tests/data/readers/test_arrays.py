"""Arrays and tables of numbers: every form, type and order, and what is no sequence of real values."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from pyro_vrnn.data import gathering
from pyro_vrnn.data.audio import UnusableError
from pyro_vrnn.data.readers import arrays, npy, parquet, text
from pyro_vrnn.data.readers.arrays import read

from .files import archive, header, pickled, table
from .files import npy as saved

SHAPES = st.tuples(st.integers(2, 9)) | st.tuples(st.integers(2, 9), st.integers(1, 5))
TYPES = ["|b1", "|i1", "|u1", "<i2", ">i2", "<u2", "<i4", ">i4", "<f2", "<f4", ">f4"]
STORED = {"b1": np.int16, "i1": np.int16, "u1": np.int16, "i2": np.int16, "u2": np.int32, "i4": np.int32}


def one(folder: Path, name: str, content: bytes) -> np.ndarray:
    (folder / name).write_bytes(content)
    (item,), skipped = read(folder / name, name)
    assert not skipped
    assert item.name == name
    return item.values


def refused(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(UnusableError) as caught:
        read(folder / name, name)
    assert str(caught.value).isprintable()
    return str(caught.value)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), fortran=st.booleans(), version=st.sampled_from([(1, 0), (2, 0), (3, 0)]))
def test_arrays_of_every_type_order_and_version(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, fortran: bool, version: tuple[int, int]
) -> None:
    code = data.draw(st.sampled_from(TYPES))
    finite = {"allow_nan": False, "allow_infinity": False} if "f" in code else {}
    array = data.draw(some.arrays(code, SHAPES, elements=some.from_dtype(np.dtype(code), **finite)))
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asfortranarray(array) if fortran else array, version)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npy, "BLOCK", 16)
        values = one(tmp_path_factory.mktemp("arrays"), "a.npy", file.getvalue())
    assert values.dtype == STORED.get(code[1:], np.float32)
    np.testing.assert_array_equal(values, array.reshape(len(array), -1))


def test_wide_types_are_rounded_or_checked(tmp_path: Path) -> None:
    array = np.array([[1 / 3, 1e-60], [2.0, 3.0]])
    np.testing.assert_array_equal(one(tmp_path, "a.npy", saved(array)), array.astype(np.float32))
    array = np.array([2**31 - 1, -(2**31), 0])
    np.testing.assert_array_equal(one(tmp_path, "a.npy", saved(array))[:, 0], array)
    assert "integers of more than 32 bits (2147483648)" in refused(tmp_path, "a.npy", saved(array + 1))
    assert "(-2147483649)" in refused(tmp_path, "a.npy", saved(array - 1))
    assert "float32" in refused(tmp_path, "a.npy", saved(np.array([1.0, 1e39])))


def test_any_byte_but_0_is_true(tmp_path: Path) -> None:
    values = one(tmp_path, "a.npy", header("|b1", (4,)) + bytes([0, 1, 2, 255]))
    assert values.ravel().tolist() == [0, 1, 1, 1]


def test_many_values_lie_in_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "LONG", 10)
    array = np.arange(30.0).reshape(10, 3)
    for name, content in (("a.npy", saved(array)), ("a.npz", archive({"a.npy": saved(array)}))):
        values = one(tmp_path, name, content)
        assert isinstance(values.base, np.memmap) or isinstance(values, np.memmap)
        np.testing.assert_array_equal(values, array)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(()), "0 dimensions"),
        (np.zeros((2, 2, 2)), "3 dimensions; expected (T,) or (T, D)"),
        (np.zeros((0, 3)), "0 rows; expected at least 2"),
        (np.zeros((1, 3)), "1 row; expected at least 2"),
        (np.zeros((5, 0)), "rows without a value"),
        (np.array([1.0, np.nan]), "not finite"),
        (np.array([1.0, -np.inf]), "not finite"),
        (np.zeros(3, complex), "complex numbers"),
        (np.zeros(3, "U5"), "text"),
        (np.zeros(3, "S5"), "text"),
        (np.zeros(3, "M8[s]"), "dates"),
        (np.zeros(3, "m8[s]"), "durations"),
        (np.zeros(3, "V8"), "raw bytes"),
        (np.zeros(3, [("a", "f4"), ("b", "i2")]), "named fields"),
        (np.array([1, None], object), "a pickle"),
    ],
)
def test_arrays_that_are_no_sequences(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    assert reason in refused(tmp_path, "a.npy", saved(array))
    assert reason in refused(tmp_path, "a.npz", archive({"a.npy": saved(array)}))
    (tmp_path / "b.npz").write_bytes(archive({"a.npy": saved(np.zeros(4)), "b.npy": saved(array)}))
    found = read(tmp_path / "b.npz", "b.npz")
    assert [item.name for item in found.items] == ["b.npz#0"]
    ((name, said),) = found.skipped
    assert name == "b.npz#1"
    assert reason in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x93NUMPY", "unknown format version"),
        (b"\x93NUMPY\x09\x00" + bytes(99), "unknown format version"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "a header of 4294967295 bytes"),
        (b"\x93NUMPY\x01\x00\xff\xff{}", "header ends early"),
        (header("<f8", (10**17, 10**17)) + bytes(80), "truncated: 80 of"),
        (header("<f8", "(-3,)") + bytes(80), "damaged"),
        (header("<f8", "(" + "9" * 5000 + ",)"), "damaged"),
        (header("<f8", "(3,,)"), "damaged"),
        (header("<f8", "(3, __import__('os').getpid())"), "damaged"),
        (header("<f8", "(" * 5000), "damaged"),
        (header("f8' + 'f8", (3,)), "damaged"),
        (header("<f8", (3,)) + bytes(23), "truncated: 23 of 24"),
        (header("<f8", (3,)) + bytes(25), "1 bytes follow"),
        (header("<f16", (3,)) + bytes(48), "unknown type"),
        (header("<i3", (3,)) + bytes(9), "unknown type"),
        (header("", (3,)) + bytes(9), "unknown type"),
    ],
)
def test_damaged_headers(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason in refused(tmp_path, "a.npy", content)


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    assert "a pickle" in refused(tmp_path, "a.npy", pickled([np.zeros(3)]))


NUMBERS = st.integers(-(2**31), 2**31 - 1) | st.floats(-(2.0**100), 2.0**100, width=32)


@settings(max_examples=120, deadline=None)
@given(
    data=st.data(),
    delimiter=st.sampled_from([",", ";", "\t", "|", " ", " , ", ";  "]),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    head=st.sampled_from(["", "\ufeff", "# by hand\n# 1,2\n", "time{0}x y{0}µ\n", "\n\n", "\ufeffa{0}b\n"]),
    end=st.sampled_from(["", "\n", "\n\n"]),
    block=st.integers(5, 400),
)
def test_tables_of_text(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    delimiter: str,
    newline: str,
    head: str,
    end: str,
    block: int,
) -> None:
    width = data.draw(st.integers(1, 4))
    values = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=2, max_size=6))
    lines = "\n".join(delimiter.join(map(repr, row)) for row in values)
    content = (head.format(delimiter) + lines + end).replace("\n", newline).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", max(block, max(map(len, content.split(newline.encode()))) + 2))
        found = one(tmp_path_factory.mktemp("tables"), "a.csv", content)
    whole = all(isinstance(value, int) for row in values for value in row)
    assert found.dtype == (np.int32 if whole else np.float32)
    np.testing.assert_array_equal(found, np.array(values).astype(found.dtype))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n\n", "no line of numbers"),
        (b"a,b\n", "no line of numbers"),
        (b"a,b\nc,d\n1,2\n", "line 2, column 1: 'c' is not a number"),
        (b"a,b\n1,2\n", "1 row"),
        (b"1,2\n3\n", "line 2 has 1 columns, line 1 has 2"),
        (b"1,2\n3,4\n\n5,6,7\n", "line 4 has 3 columns"),
        (b"1,2\n3,\n", "line 2, column 2: '' is not a number"),
        (b"1,2\n3,x\n", "line 2, column 2: 'x' is not a number"),
        (b"1,x\n3,4\n", "line 1, column 2: 'x' is not a number"),
        (b"1,2\n# 3\n5,6\n", "line 2, column 1: '# 3' is not a number"),
        (b"1,2\n3,nan\n", "not finite"),
        (b"1,2\n3,1e999\n", "not finite"),
        (b"1,2\n3,1e60\n", "float32"),
        (b"1,2\n3,2147483648\n", "32 bits"),
        (b"1,2\n3,%s\n" % (b"9" * 400), "32 bits"),
        (b"1,5;2,5\n3,5;4,5\n", "decimal commas; expected decimal points"),
        (b'"1","2"\n"3","4"\n', "is not a number"),
        (b"a\n1_000\n2\n", "is not a number"),
        (b"2020-01-01,1\n2020-01-02,2\n", "line 2, column 1: '2020-01-02' is not a number"),
        ("a\n1\n2\n".encode("utf-16"), "UTF-8"),
        (b"1,2\n3,\x1b[2J\n", r"'\x1b[2J' is not a number"),
    ],
)
def test_text_that_is_no_table(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason in refused(tmp_path, "a.csv", content)


def test_long_lines_and_many_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 1000)
    assert "line 3 is longer than" in refused(tmp_path, "a.csv", b"1\n2\n" + b"1" * 5000)
    rows = np.arange(3000).reshape(-1, 2)
    content = "\n".join(f"{a},{b}" for a, b in rows).encode()
    np.testing.assert_array_equal(one(tmp_path, "a.csv", content), rows)
    assert "line 1500 has 3" in refused(tmp_path, "a.csv", content + b",1")


@settings(max_examples=40, deadline=None)
@given(data=st.data(), batch=st.integers(1, 40))
def test_parquet(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, batch: int) -> None:
    rows = data.draw(st.integers(2, 20))
    codes = data.draw(st.lists(st.sampled_from(["b1", "i1", "i2", "i4", "u2", "f4", "f8"]), min_size=1, max_size=4))
    columns = [
        data.draw(some.arrays(code, rows, elements=some.from_dtype(np.dtype(code), min_value=0, max_value=99)))
        if code != "b1"
        else data.draw(some.arrays("b1", rows))
        for code in codes
    ]
    content = table(**{f"c{i}": column for i, column in enumerate(columns)}, __index_level_0__=["x"] * rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "BLOCK", batch)
        values = one(tmp_path_factory.mktemp("parquet"), "a.parquet", content)
    narrow = all(code in ("b1", "i1", "i2") for code in codes)
    floats = any(code in ("f4", "f8") for code in codes)
    assert values.dtype == (np.float32 if floats else np.int16 if narrow else np.int32)
    np.testing.assert_array_equal(values, np.stack([c.astype(values.dtype) for c in columns], axis=1))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"x": ["a", "b"]}, "column 'x' holds 'string'"),
        ({"x": [[1.0], [2.0]]}, "column 'x' holds 'list"),
        ({"x": pa.array([1, 2], pa.timestamp("s"))}, "timestamp"),
        ({"x": pa.array([1, 2], pa.decimal128(5))}, "decimal"),
        ({"x": [1.0, 2.0, None], "y": [1, 2, 3]}, "row 3 of column 'x' has no value"),
        ({"x": [1, None]}, "row 2 of column 'x'"),
        ({"x": [1.0, float("nan")]}, "not finite"),
        ({"x": [1.0, float("inf")]}, "not finite"),
        ({"x": [1, 2**40]}, "32 bits"),
        ({"x": pa.array([1, 2**64 - 1], pa.uint64())}, "32 bits"),
        ({"x": [1.0]}, "1 row"),
        ({"x": pa.array([], pa.float32())}, "0 rows"),
        ({}, "rows without a value"),
        ({"\x1b[2J": ["a", "b"]}, r"'\x1b[2J'"),
    ],
)
def test_parquet_that_is_no_sequence(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    assert reason in refused(tmp_path, "a.parquet", table(**columns))


def test_a_small_parquet_file_of_many_equal_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = table(x=np.zeros(1 << 20))
    assert len(content) < 20_000
    monkeypatch.setattr(parquet, "UNPACKED", 1 << 22)
    assert "cut it into several" in refused(tmp_path, "a.parquet", content)


def test_what_is_no_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    for name, reason in [("folder.npy", "ordinary"), ("pipe.npy", "ordinary"), ("missing.npy", "No such file")]:
        with pytest.raises(UnusableError, match=reason):
            read(tmp_path / name, name)


def test_a_file_that_changes_under_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(saved(np.arange(4)))
    whole = npy.read_values

    def meanwhile(*args: Any, **kwargs: Any) -> np.ndarray:
        path.write_bytes(saved(np.arange(5)))
        return whole(*args, **kwargs)

    monkeypatch.setattr(arrays, "read_values", meanwhile)
    with pytest.raises(UnusableError, match="changed while it was read"):
        read(path, "a.npy")
