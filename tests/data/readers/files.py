"""Files of pen strokes and arrays, as tests need them: the bytes of sound ones."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from pyro_vrnn.data.readers import Contents, arrays, iam, strokes

HEADER = b"\x93NUMPY\x01\x00"


def pen(seed: int, rows: int, dtype: str = "<i2") -> np.ndarray:
    """Rows dx, dy, pen of shape (rows, 3)."""
    random = np.random.default_rng(seed)
    found = random.integers(-500, 500, (rows, 3))
    found[:, 2] = random.random(rows) < 0.2
    return found.astype(dtype)


def header(code: str, shape: tuple[int, ...] | str, *, fortran: bool = False) -> bytes:
    text = f"{{'descr': '{code}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return HEADER + len(text).to_bytes(2, "little") + text


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(members: Mapping[str, bytes], *, packed: bool = True) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as opened:
        for name, content in members.items():
            opened.writestr(zipfile.ZipInfo(name), content, opened.compression)
    return file.getvalue()


def boxed(sequences: Sequence[Any]) -> np.ndarray:
    """An object array of shape (N,)."""
    array = np.empty(len(sequences), object)
    array[:] = sequences
    return array


class Numpy1Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes NumPy's modules under the names they had before NumPy 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = getattr(obj, "__module__", "")
        if not module.startswith("numpy._core"):
            super().save_global(obj, name)
            return
        module = module.replace("_core", "core")
        if self.proto >= 4:
            self.save(module)
            self.save(obj.__name__)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{obj.__name__}\n".encode())
        self.memoize(obj)

    dispatch[type(boxed)] = save_global


def pickled(sequences: Sequence[Any], protocol: int = 3, *, numpy1: bool = False) -> bytes:
    """What `np.save` makes of an object array, in any protocol and of either NumPy."""
    file = io.BytesIO()
    (Numpy1Pickler if numpy1 else pickle.Pickler)(file, protocol).dump(boxed(sequences))
    return header("|O", (len(sequences),)) + file.getvalue()


def python2(sequences: Sequence[np.ndarray]) -> bytes:
    """An object array of int16 arrays as Python 2 pickled it: bytes are 8-bit texts."""

    def text(content: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(content)) + content

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    def array(shape: tuple[int, ...], dtype: bytes, content: bytes) -> bytes:
        empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
        sizes = b"(" + b"".join(map(number, shape)) + b"t"
        return empty + b"(K\x01" + sizes + dtype + b"\x89" + content + b"tb"

    def dtype(code: bytes, order: bytes) -> bytes:
        made = b"cnumpy\ndtype\n" + text(code) + b"K\0K\x01\x87R"
        return made + b"(K\x03" + text(order) + b"NNN" + number(-1) * 2 + b"K\0tb"

    first = dtype(b"i2", b"<") + b"q\x01"
    inner = [array(x.shape, b"h\x01" if i else first, text(x.tobytes())) for i, x in enumerate(sequences)]
    outer = array((len(sequences),), dtype(b"O8", b"|"), b"](" + b"".join(inner) + b"e")
    return header("|O", f"({len(sequences)}L,)") + b"\x80\x02" + outer + b"."


def line(strokes: Sequence[Sequence[tuple[float, float]]], text: str = "") -> bytes:
    """The XML of a line of IAM-OnDB; time stamps run backward at every seventh point."""
    out = ['<?xml version="1.0" encoding="ISO-8859-1"?>', "<WhiteboardCaptureSession>", "  <WhiteboardDescription>"]
    out += ['    <SensorLocation corner="top_left"/>', '    <DiagonallyOppositeCoords x="6612" y="5597"/>']
    out += ["  </WhiteboardDescription>"]
    if text:
        out += ["  <Transcription>", f'    <TextLine text="{text}"/>', "  </Transcription>"]
    out += ["  <StrokeSet>"]
    time = 13090871.5
    for stroke in strokes:
        out.append(f'    <Stroke colour="black" start_time="{time:.2f}" end_time="{time + 1:.2f}">')
        for k, (x, y) in enumerate(stroke):
            time += -0.03 if k % 7 == 6 else 0.01
            out.append(f'      <Point x="{x}" y="{y}" time="{time:.2f}"/>')
        out.append("    </Stroke>")
    return "\n".join([*out, "  </StrokeSet>", "</WhiteboardCaptureSession>", ""]).encode("latin-1")


def table(**columns: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def parts(**sequences: bytes) -> bytes:
    return archive({f"{key}.npy": content for key, content in sequences.items()})


SOUND: dict[str, tuple[Any, str, bytes]] = {
    "parts": (
        strokes.read,
        "a.npz",
        parts(train=pickled([pen(0, 5), pen(1, 7)]), valid=pickled([pen(2, 4)]), test=pickled([pen(3, 6)])),
    ),
    "parts of Python 2": (strokes.read, "a.npz", parts(train=python2([pen(0, 5), pen(1, 7)]))),
    "one array a sequence": (strokes.read, "a.npz", archive({"a.npy": npy(pen(0, 5)), "b.npy": npy(pen(1, 6))})),
    **{
        f"pickle of protocol {protocol}": (strokes.read, "a.npy", pickled([pen(0, 5), pen(1, 6, "<f4")], protocol))
        for protocol in (2, 3, 4, 5)
    },
    "line": (iam.read, "a.xml", line([[(1, 2), (3, 4), (5, 9)], [(7, 7), (7, 7)]], "A &amp; B")),
    "array": (arrays.read, "a.npy", npy(np.arange(12.0).reshape(4, 3))),
    "integers": (arrays.read, "a.npy", npy(np.arange(12).reshape(4, 3, order="F"))),
    "arrays": (arrays.read, "a.npz", archive({"a.npy": npy(np.arange(4.0)), "b.npy": npy(np.arange(5))}, packed=False)),
    "csv": (arrays.read, "a.csv", b"time; x\n0.5; 1e3\n-.25; 7\n1; 2\n"),
    "integers in csv": (arrays.read, "a.csv", b"# made by hand\n\n1,2\r\n3,4\r\n-5,6"),
    "parquet": (arrays.read, "a.parquet", table(x=[1.0, 2.0, 3.0], n=[1, 2, 3])),
}
"""Every parser with a small sound file of its own."""


def read(form: str, folder: Path, content: bytes) -> Contents:
    """Give some bytes to the parser of a form."""
    reader, name, _ = SOUND[form]
    path = folder / name
    path.write_bytes(content)
    found: Contents = reader(path, name)
    return found
