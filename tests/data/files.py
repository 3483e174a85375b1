"""Small audio files, as tests need them."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pyro_vrnn.data.prepared.corpora import Plan, Used

RATE = 16000

Refused = Callable[..., AbstractContextManager[None]]
"""What the fixture `refused` gives."""


def noise(n: int, *, seed: int = 0) -> np.ndarray:
    """Loud but unclipped int16 samples, shape (n,)."""
    return np.random.default_rng(seed).integers(-20000, 20000, n, dtype=np.int16)


def tone(n: int, *, hertz: float = 440.0, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    """A sine of float32 amplitudes, shape (n,)."""
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(n) / rate)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **form: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **form)
    return path


def write_clips(folder: Path, lengths: list[int], rate: int = RATE, suffix: str = ".wav") -> list[Path]:
    """One file of noise a length: `000.wav`, `001.wav`, ..."""
    return [write(folder / f"{i:03d}{suffix}", noise(n, seed=i), rate) for i, n in enumerate(lengths)]


def all_arrays(names: Collection[str], own: Mapping[str, Any], seed: int, root: Path) -> Plan:
    """A plan for `data prepare` that uses every .npy file and draws parts over them."""
    return Plan(tuple(Used(name) for name in sorted(names) if name.endswith(".npy")), (), "files")
