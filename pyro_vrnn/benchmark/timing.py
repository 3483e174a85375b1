"""Time, fairly: ways in turn, so that what slows the machine slows them all."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

#: Calls before the first that counts: on CUDA libraries choose their kernels and memory is pooled meanwhile.
WARM_UP = {"cpu": 1, "cuda": 3}

#: A way of doing something, run for its time.
Way = Callable[[], object]


def finish(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(way: Way, device: torch.device) -> float:
    """Wall-clock seconds of one call, the device's work included."""
    finish(device)
    start = time.perf_counter()
    way()
    finish(device)
    return time.perf_counter() - start


def interleaved(
    ways: Mapping[str, Way], repeats: int, device: torch.device, told: Callable[[int], None] = lambda done: None
) -> dict[str, float]:
    """Median seconds of each way, from rounds in which each has its turn.

    Args:
        ways: By name.
        repeats: Rounds that count.
        device: Where they work.
        told: Told of the rounds that are done, warming up included.

    Returns:
        Medians, by name.
    """
    warm_up = WARM_UP[device.type]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + repeats):
        for name, way in ways.items():
            taken[name].append(seconds(way, device))
        told(turn + 1)
    return {name: statistics.median(found[warm_up:]) for name, found in taken.items()}
