"""A folder of clips, and what is made of it."""

from pathlib import Path
from typing import Any

import numpy as np

from pyro_vrnn.data import DataOptions
from pyro_vrnn.data.prepared.preparing import Prepared, prepare

from .files import noise, write, write_clips

LENGTHS = [1000, 4100, 2600, 8000, 650, 3000, 5050, 1900, 700, 2000]


def clips(root: Path) -> Path:
    write_clips(root, LENGTHS)
    write_clips(root / "more", LENGTHS, suffix=".flac")
    write(root / "silent.wav", np.zeros(900, np.int16))
    (root / "text.wav").write_text("text")
    write(root / "short.wav", noise(300))
    return root


def made(folder: Path, name: str = "cache", **given: Any) -> Prepared:
    options = {key: given.pop(key) for key in list(given) if key in DataOptions.model_fields}
    return prepare("audio", DataOptions(source=str(folder), **options), folder.parent / name, **given)


def contents(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.iterdir()}


def opened(folder: Path, name: str = "cache", **options: Any) -> DataOptions:
    return DataOptions(source=str(folder.parent / name), **options)
