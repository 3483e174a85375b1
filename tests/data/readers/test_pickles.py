"""Pickles: NumPy's arrays in every form come out as they went in, and nothing else does, nor runs."""

import builtins
import os
import pickle
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pyro_vrnn.data.audio import UnusableError
from pyro_vrnn.data.readers import pickles
from pyro_vrnn.data.readers.strokes import read

from .files import boxed, header, npy, parts, pen, pickled

PROTOCOLS = [2, 3, 4, 5]
NUMBERS = st.sampled_from(["<i1", "<i2", ">i2", "<i4", ">i8", "<u2", "<f4", ">f4", "<f8", "|b1"])


def load(sequences: list[Any], protocol: int, **form: bool) -> list[Any]:
    content = pickled(sequences, protocol, **form)
    found = pickles.load(content[content.index(b"\n") + 1 :]).objects()
    assert found is not None
    return found


@pytest.mark.parametrize("numpy1", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_arrays_of_every_type_and_order(protocol: int, numpy1: bool, data: st.DataObject) -> None:
    shapes = arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)
    some = data.draw(st.lists(NUMBERS.flatmap(lambda code: arrays.arrays(code, shapes)), min_size=1, max_size=4))
    some = [np.asfortranarray(array) if i % 2 else array for i, array in enumerate(some)]
    found = load([*some, some[0]], protocol, numpy1=numpy1)  # the last is a reference to what has been read
    assert len(found) == len(some) + 1
    for array, other in zip([*some, some[0]], found, strict=True):
        assert other.numbers().dtype == array.dtype
        np.testing.assert_array_equal(other.numbers(), array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numbers_among_arrays(protocol: int) -> None:
    found = load([pen(0, 3), 7, 2.5, np.float64(0.25), np.int16(-3), None, [1, 2], (3,)], protocol)
    assert found[1:] == [7, 2.5, 0.25, -3, None, [1, 2], (3,)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        boxed([1, "a"]),
        np.array(["text"]),
        np.array([b"text"]),
        np.zeros(3, "V4"),
        np.zeros(3, "M8[s]"),
        1j * np.ones(3),
    ],
)
def test_arrays_of_something_else_have_no_numbers(protocol: int, array: np.ndarray) -> None:
    with pytest.raises(UnusableError, match=r"real numbers|objects"):
        load([array], protocol)[0].numbers()


class Payload:
    """What asks to be called when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Stateful:
    def __reduce__(self) -> Any:
        return (Stateful, (), {"armed": True}, iter([1]), iter([(1, 2)]))

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("was given a state")

    append = extend = __setitem__ = __setstate__


PAYLOADS = {
    "system": lambda marker: Payload(os.system, f"touch {marker}"),
    "eval": lambda marker: Payload(eval, f"open({str(marker)!r}, 'w')"),
    "exec": lambda marker: Payload(exec, f"open({str(marker)!r}, 'w')"),
    "open": lambda marker: Payload(open, str(marker), "w"),
    "getattr": lambda marker: Payload(getattr, Payload(builtins.__import__, "os"), "system"),
    "import": lambda marker: Payload(builtins.__import__, "antigravity"),
    "class": lambda marker: Stateful(),
    "load": lambda marker: Payload(np.load, str(marker), None, True),
    "fromfile": lambda marker: Payload(np.fromfile, "/dev/zero"),
    "zeros": lambda marker: Payload(np.zeros, 10**12),
    "partial": lambda marker: __import__("functools").partial(os.system, f"touch {marker}"),
    "exception": lambda marker: ValueError("nothing"),
    "range": lambda marker: range(10),
    "set": lambda marker: {1, 2},
    "dictionary": lambda marker: {"a": 1},
    "table": lambda marker: np.zeros(3, [("a", "i4"), ("b", "O")]),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("nested", [0, 1, 2])
def test_nothing_but_arrays_is_made(tmp_path: Path, payload: str, protocol: int, nested: int) -> None:
    marker = tmp_path / "ran"
    made: Any = PAYLOADS[payload](marker)
    for _ in range(nested):
        made = boxed([pen(0, 3), made])
    content = pickled([pen(0, 3), made, pen(1, 3)], protocol)
    (tmp_path / "a.npz").write_bytes(parts(train=content))
    with pytest.raises(UnusableError, match=r"only NumPy arrays are read|named fields") as caught:
        read(tmp_path / "a.npz", "a.npz")
    assert str(caught.value).isprintable()
    assert not marker.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"(S'touch ran'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch ran'\no.",
        b"\x80\x02cnumpy\nndarray\n)\x81.",
        b"\x80\x04cnumpy\nndarray\n)}\x92.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02Pname\n.",
        b"\x80\x02K\x01Q.",
        b"\x80\x05\x97.",
        b"\x80\x02}.",
        b"\x80\x04\x8f.",
        b"\x80\x02cnumpy\ndtype.__init__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.__new__\x93.",
        b"\x80\x02cnumpy.core.multiarray\nfromstring\n.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02O8K\0K\x01\x87RU\x08\0\0\0\0\0\0\0\0\x86R.",
        b"\x80\x02cnumpy\nndarray\nN}b.",
        b"\x80\x02cnumpy\nndarray\n}b.",
        b"\x80\x02cnumpy\ndtype\nU\x02i2K\0K\x01\x87R}b.",
    ],
)
def test_every_other_operation_is_refused(program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnusableError, match=r"only NumPy arrays|damaged|not real|something else|named fields"):
        pickles.load(program)
    assert not list(tmp_path.iterdir())


EMPTY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R"
INT8 = b"cnumpy\ndtype\nU\x02i1K\0K\x01\x87R"


def listed(elements: bytes, count: int) -> bytes:
    """A pickle of an object array with some elements."""
    objects = b"cnumpy\ndtype\nU\x02O8K\0K\x01\x87R"
    shape = b"J" + count.to_bytes(4, "little") + b"\x85"
    return b"\x80\x02" + EMPTY + b"(K\x01" + shape + objects + b"\x89](" + elements + b"etb."


@pytest.mark.parametrize(
    "pickle",
    [
        b"\x80\x02r\xff\xff\xff\xff.",  # memory of four thousand million
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # bytes of 2**63
        b"\x80\x02T\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02K\x01q\x01" + b"h\x01h\x01\x86q\x01" * 5000 + b"h\x01\x93.",  # a name of 2**5000 characters
        b"\x80\x02K\x01q\x01" + b"h\x01h\x01\x86q\x01" * 5000 + b"h\x01.",
        b"\x80\x02" + b"(" * 100_000 + b"]." + b")" * 10,
        b"\x80\x02" + EMPTY + b"(K\x01\x8a\x08\0\0\0\0\0\0\0\x10\x85" + INT8 + b"\x89U\x00tb.",  # 2**60 elements
        listed(EMPTY + b"(K\x01K\0\x8a\x08\0\0\0\0\0\0\0\x10\x86" + INT8 + b"\x89U\x00tb", 1),  # (0, 2**60)
        listed(EMPTY + b"(K\x01\x8a\x20" + b"\xff" * 31 + b"\x7f\x85" + INT8 + b"\x89U\x00tb", 1),
    ],
)
def test_announced_sizes_cost_nothing(pickle: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(header("|O", (1,)) + pickle)
    tracemalloc.start()
    with pytest.raises(UnusableError) as caught:
        read(path, "a.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(str(caught.value)) < 300
    assert peak < 24 << 20


@pytest.mark.parametrize("count", [0, 3, 5])
def test_bytes_that_are_no_values_of_the_shape(count: int) -> None:
    array = EMPTY + b"(K\x01K\x04\x85" + INT8 + b"\x89U" + bytes([count]) + b"\1" * count + b"tb"
    (found,) = pickles.load(listed(array, 1)).objects() or ()
    with pytest.raises(UnusableError, match=f"{count} bytes of values for shape"):
        found.numbers()


@pytest.mark.parametrize(
    "size", [b"U\x01a", b"N", b"\x88", b"J\xff\xff\xff\xff", b"G@\x10\0\0\0\0\0\0", b"]", b"K\x04\x85"]
)
def test_shapes_of_something_else_than_sizes(size: bytes) -> None:
    array = EMPTY + b"(K\x01" + size + b"\x85" + INT8 + b"\x89U\x04abcdtb"
    with pytest.raises(UnusableError, match="a shape of something else"):
        pickles.load(listed(array, 1))


def test_texts_with_doubtful_escapes_are_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnusableError, match="operation STRING"):
            pickles.load(b"S'\\y'\n.")


def test_bytes_repeated_by_reference_are_counted_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.zeros((1000, 3), np.int16)
    (tmp_path / "a.npy").write_bytes(pickled([rows] * 1000))
    assert len(read(tmp_path / "a.npy", "a").items) == 1000
    monkeypatch.setattr("pyro_vrnn.data.readers.strokes.VALUES", 5_000_000)
    with pytest.raises(UnusableError, match="cut it into several"):
        read(tmp_path / "a.npy", "a")
    monkeypatch.setattr(pickles, "TOTAL", 20_000)
    again = EMPTY + b"(K\x01M\xe8\x03K\x03\x86" + INT8 + b"\x89h\x07tb"
    program = listed(b"T\xb8\x0b\0\0" + bytes(3000) + b"q\x070" + again * 7, 7)
    with pytest.raises(UnusableError, match="cut it into several"):
        pickles.load(program)
    monkeypatch.setattr(pickles, "TOTAL", 21_000)
    assert len(pickles.load(program).objects() or ()) == 7


def test_too_many_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "OPERATIONS", 100)
    with pytest.raises(UnusableError, match="more than 100 operations"):
        pickles.load(b"\x80\x02" + b"]" * 99 + b".")
    with pytest.raises(UnusableError, match="something else"):
        pickles.load(b"\x80\x02" + b"]" * 98 + b".")


def test_oracle_is_the_real_thing() -> None:
    content = pickled([pen(0, 5), pen(1, 6)], 4, numpy1=True)
    real = pickle.loads(content[content.index(b"\n") + 1 :])
    for array, other in zip(real, load([pen(0, 5), pen(1, 6)], 4, numpy1=True), strict=True):
        np.testing.assert_array_equal(other.numbers(), array)
    assert npy(real)[:6] == b"\x93NUMPY"
