"""Noise that leaves the caller's random state alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_noise(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Inside, whatever is drawn on the CPU and this device is forgotten afterwards.

    Args:
        device: Where draws happen.
        seed: To begin with; None goes on from the caller's state.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if seed is not None:
            torch.manual_seed(seed)
        yield
