"""What a prepared corpus says of itself, and whether its files are those that it speaks of."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ...errors import DataError
from ..kinds import Kind

FORMAT = "pyro_vrnn prepared corpus"
VERSION = 1
MANIFEST, VALUES, INDEX, SOURCES = "manifest.json", "values.npy", "index.parquet", "sources.parquet"
HEADER = 128  # bytes before the first value: any shape fits, so that it can be written last

AGAIN = "remove the folder and prepare it again"


class Contained(BaseModel):
    """A file of the folder.

    Attributes:
        size: In bytes.
        sha256: Of `values.npy` that of what follows its header, of others that of all bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str


class Manifest(BaseModel):
    """The manifest of a prepared corpus.

    Attributes:
        format: What the folder is.
        version: Of the format.
        kind: What its sequences are of.
        corpus: What it was prepared as.
        source: The folder or file it was prepared from.
        options: How it was read and split.
        sample_rate: In Hz; None where values have no rate.
        frame: Values a frame, as statistics and counts were made; 3 of a pen, D of arrays.
        segment: Seconds, as statistics and counts were made; 0: whole.
        dtype: Of the stored values.
        shape: Of `values.npy`: `(samples,)` of sound, else `(rows, frame)`.
        lsb: As in `Corpus`.
        lossless: As in `Corpus`.
        undithered: Why noise of one step would bound nothing; None where it does.
        statistics: Number, mean and sum of squared deviations of the training part's amplitudes (see
            `statistics.training_moments`).
        counts: Recordings and frames of each part, and what was dropped or constant.
        speakers: How many, or None where they are unknown.
        skipped: Files and sequences that were left out, and why.
        notes: What people should know of the corpus, a line each.
        source_checksum: SHA-256 over the relative names and contents of all used files.
        checksum: SHA-256 over everything that a model sees: values, index, statistics.
        versions: Of what prepared it.
        files: The others of the folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["pyro_vrnn prepared corpus"]
    version: Literal[1]
    kind: Kind
    corpus: str
    source: str
    options: dict[str, Any]
    sample_rate: int | None
    frame: int
    segment: float
    dtype: Literal["int16", "int32", "float32"]
    shape: list[int]
    lsb: float | None
    lossless: bool
    undithered: str | None
    statistics: list[tuple[int, float, float]]
    counts: dict[str, int]
    speakers: int | None
    skipped: list[tuple[str, str]]
    notes: list[str]
    source_checksum: str
    checksum: str
    versions: dict[str, str]
    files: dict[str, Contained]

    @property
    def step(self) -> float:
        """Amplitude of one stored integer."""
        return 2.0**-15 if self.kind == "audio" else 1.0

    def seen(self) -> str:
        """SHA-256 over everything that a model sees, which `checksum` should be."""
        names = ("kind", "sample_rate", "frame", "segment", "dtype", "shape", "lsb", "lossless", "statistics")
        told = {name: getattr(self, name) for name in names}
        told |= {name: self.files[name].sha256 for name in (VALUES, INDEX)}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def is_prepared(source: str | Path) -> bool:
    """Whether a folder is a prepared corpus, whole or damaged."""
    folder = Path(source).expanduser()
    try:
        if not folder.is_dir():
            return False
        text = (folder / MANIFEST).read_text(encoding="utf-8") if (folder / MANIFEST).exists() else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    return f'"{FORMAT}"' in text or all((folder / name).exists() for name in (VALUES, INDEX))


def read_manifest(source: str | Path, *, option: str = "--data") -> Manifest:
    """The manifest of a folder whose files have the sizes and the header that it says.

    Args:
        source: The folder.
        option: How it was given, for messages.

    Raises:
        DataError: It cannot be read, or the folder is damaged; in one line.
    """
    folder, told = Path(source).expanduser(), f"{option} {source}"
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        parsed = json.loads(text)
    except FileNotFoundError:
        raise DataError(f"{told}: {MANIFEST} is missing, so that this is no whole prepared corpus; {AGAIN}") from None
    except OSError as error:
        raise DataError(f"{told}: {MANIFEST} cannot be read: {error.strerror}") from None
    except ValueError:
        raise DataError(f"{told}: {MANIFEST} is damaged (not JSON); {AGAIN}") from None
    version = parsed.get("version") if isinstance(parsed, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise DataError(
            f"{told}: prepared in version {version} of the format, and this program knows {VERSION}; "
            "update it, or prepare the corpus again"
        )
    try:
        manifest = Manifest.model_validate(parsed)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise DataError(f"{told}: {MANIFEST} is damaged ({where}: {first['msg']}); {AGAIN}") from None
    _check(folder, told, manifest)
    return manifest


def verify(source: str | Path, *, option: str = "--data") -> Manifest:
    """The manifest of a folder of which every byte is as it was prepared; reads all of it.

    Raises:
        DataError: A file is damaged.
    """
    manifest, folder = read_manifest(source, option=option), Path(source).expanduser()
    for name, expected in manifest.files.items():
        if digest_of(folder / name, skip=HEADER if name == VALUES else 0) != expected.sha256:
            raise DataError(f"{option} {source}: {name} is damaged (its checksum is another); {AGAIN}")
    return manifest


def digest_of(path: Path, *, skip: int = 0) -> str:
    """SHA-256 of a file from a byte on."""
    with path.open("rb") as file:
        file.seek(skip)
        return hashlib.file_digest(file, "sha256").hexdigest()


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The first bytes of `values.npy`: NumPy's format, version 1, padded to `HEADER` bytes."""
    told = {"descr": np.dtype(dtype).newbyteorder("<").str, "fortran_order": False, "shape": shape}
    text = f"{{'descr': {told['descr']!r}, 'fortran_order': False, 'shape': {told['shape']!r}, }}".encode()
    room = HEADER - len(np.lib.format.magic(1, 0)) - 2
    assert len(text) < room
    return np.lib.format.magic(1, 0) + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"


def _check(folder: Path, told: str, manifest: Manifest) -> None:
    """What can be seen without reading values."""
    if not {VALUES, INDEX, SOURCES} <= manifest.files.keys() or manifest.checksum != manifest.seen():
        raise DataError(f"{told}: {MANIFEST} is damaged (its checksum is another); {AGAIN}")
    for name, expected in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError:
            raise DataError(f"{told}: {name} is missing; {AGAIN}") from None
        if size != expected.size:
            raise DataError(f"{told}: {name} is damaged ({size} bytes, expected {expected.size}); {AGAIN}")
    size = HEADER + math.prod(manifest.shape) * np.dtype(manifest.dtype).itemsize
    with (folder / VALUES).open("rb") as file:
        begins = file.read(HEADER)
    if begins != header(manifest.dtype, tuple(manifest.shape)) or manifest.files[VALUES].size != size:
        raise DataError(f"{told}: {VALUES} is damaged (its header is another); {AGAIN}")
    if digest_of(folder / INDEX) != manifest.files[INDEX].sha256:
        raise DataError(f"{told}: {INDEX} is damaged (its checksum is another); {AGAIN}")
