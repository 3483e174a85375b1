"""Importance sampling and the particle filter against the plain way, interleaved in one run; and their memory.

    python benchmarks/estimators.py [--variant vrnn-gauss] [--batch 32] [--frames 40] [--particles 40] [--repeats 5]

The plain way folds the K particles into the batch: K copies of the frames, one pass, densities of whole trajectories.
Memory is the peak of a process that scores with K = 40, with K = 2000, or a recording of one or sixty minutes, less
that of a process that has built the same model and frames and scores nothing.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pyro_vrnn.inference.likelihood import elbo, iwae
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.variants import ModelOptions, build

X, MINUTE = 200, 60 * 16_000 // 200


class Recording:
    """Frames that are made when they are read, so that the recording itself takes no memory."""

    def __init__(self, frames: int) -> None:
        self.shape = (1, frames, X)

    def __getitem__(self, where: tuple[slice, slice]) -> Tensor:
        steps = range(self.shape[1])[where[1]]
        return torch.randn(1, len(steps), X, generator=torch.Generator().manual_seed(steps.start))


def plain(net: VRNN, x: Tensor, mask: Tensor, particles: int) -> Tensor:
    x, mask = x.repeat(particles, 1, 1), mask.repeat(particles, 1)
    z, rollout = infer(net, x, mask, x.shape[:1])
    return rollout.log_weights(z).sum(-1).view(particles, -1).logsumexp(0) - math.log(particles)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.no_grad()
def peak(variant: str, what: str, batch: int, frames: int) -> float:
    """MiB that this process has held at most after the work."""
    net = build(ModelOptions(variant=variant), X)
    if what.startswith("recording"):
        minutes = int(what.removeprefix("recording_"))
        mask = torch.ones(1, minutes * MINUTE, dtype=torch.bool)
        if minutes:
            elbo(net, Recording(minutes * MINUTE), mask, noise=Noise(0, [0]))
    else:
        name, _, particles = what.partition("_")
        x, mask = torch.randn(batch, frames, X), torch.ones(batch, frames, dtype=torch.bool)
        if particles:
            score = {"iwae": iwae, "smc": smc}[name]
            score(net, x, mask, int(particles), noise=Noise(0, range(batch)))
    # Not getrusage: its peak is inherited from the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="vrnn-gauss")
    for name, value in {"batch": 32, "frames": 40, "particles": 40, "repeats": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # what a process of the memory part does
    given = parser.parse_args()
    torch.manual_seed(0)
    if given.peak:
        print(peak(given.variant, given.peak, given.batch, given.frames))
        return
    net = build(ModelOptions(variant=given.variant), X)
    x, mask = torch.randn(given.batch, given.frames, X), torch.ones(given.batch, given.frames, dtype=torch.bool)
    K, noise = given.particles, Noise(0, range(given.batch))
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: plain(net, x, mask, K),
        "iwae": lambda: iwae(net, x, mask, K, noise=noise),
        "smc": lambda: smc(net, x, mask, K, noise=noise),
    }
    with torch.no_grad():
        for work in ways.values():
            work()
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.repeats):
            for name, work in ways.items():
                times[name].append(seconds(work))
    medians = {name: statistics.median(found) for name, found in times.items()}
    result: dict[str, object] = {
        "variant": given.variant,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **{f"{name} / plain": round(medians[name] / medians["plain"], 3) for name in ("iwae", "smc")},
        "plain, frames x particles a second": round(K * given.batch * given.frames / medians["plain"]),
    }
    peaks = {}
    for what in ("nothing", "iwae_40", "iwae_2000", "smc_40", "smc_2000", "recording_1", "recording_60"):
        command = [sys.executable, __file__, "--peak", what, "--variant", given.variant]
        command += ["--batch", str(given.batch), "--frames", str(given.frames)]
        peaks[what] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    held = {name: round(mib - peaks["nothing"]) for name, mib in peaks.items() if name != "nothing"}
    print(json.dumps({**result, "MiB above nothing": held}, indent=2))


if __name__ == "__main__":
    main()
