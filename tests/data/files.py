"""Small audio files, as tests need them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import soundfile

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
