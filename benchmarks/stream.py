"""How fast models run frame by frame: seconds of sound a second, against real time, on one core.

OMP_NUM_THREADS=1 python benchmarks/stream.py
"""

import argparse
import statistics
import time

import torch

from pyro_vrnn.model.stream import Stream
from pyro_vrnn.model.variants import VARIANTS, ModelOptions, build

FRAME = 200


def factor(variant: str, rate: int, steps: int, preset: str) -> float:
    """Seconds of sound that one stream makes in a second."""
    torch.manual_seed(0)
    stream = Stream(build(ModelOptions(variant=variant, preset=preset), FRAME), (1,))
    for _ in range(10):
        next(stream)
    began = time.perf_counter()
    for _ in range(steps):
        next(stream)
    return steps * FRAME / rate / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=16000)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--preset", default="small")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{given.preset}, frames of {FRAME} at {given.rate} Hz, 1 thread, torch {torch.__version__}: times real time")
    for variant in VARIANTS:
        found = [factor(variant, given.rate, given.steps, given.preset) for _ in range(given.repeats)]
        print(f"{variant:<12} median {statistics.median(found):6.1f}   slowest {min(found):6.1f}")


if __name__ == "__main__":
    main()
