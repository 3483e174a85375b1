"""A training step against its peers and its floor, interleaved in one run: ratios, not seconds.

    python benchmarks/train_step.py [--h 256] [--width 128] [--depth 2] [--batch 32] [--frames 40] [--repeats 5]

The peers are a plain PyTorch loop, as public implementations of the VRNN write it, and the markov program. The floor is
the time of the step's matrix products alone (three times those of the forward pass) at the speed of the best large
square product on this machine.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyro
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import Sizes, Widths
from pyro_vrnn.model.variants import VARIANTS, compose
from pyro_vrnn.training.objective import Elbo

X = 200


def net_of(sizes: list[int], *, features: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*(layers if features else layers[:-1]))


class PlainLoop(nn.Module):
    """VRNN-Gauss as public implementations write it: every net called at every step, densities by hand."""

    def __init__(self, h: int, z: int, width: int, depth: int) -> None:
        super().__init__()
        hidden = [width] * depth
        self.h, self.z = h, z
        self.phi_x, self.phi_z = net_of([X, *hidden], features=True), net_of([z, *hidden], features=True)
        self.encoder = net_of([width + h, *hidden, 2 * z], features=False)
        self.prior = net_of([h, *hidden, 2 * z], features=False)
        self.decoder = net_of([width + h, *hidden, 2 * X], features=False)
        self.cell = nn.LSTMCell(2 * width, h)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), self.h)
        total = x.new_zeros(())
        for t in range(x.shape[1]):
            phi_x = self.phi_x(x[:, t])
            mu_q, rho_q = self.encoder(torch.cat([phi_x, h], -1)).chunk(2, -1)
            mu_p, rho_p = self.prior(h).chunk(2, -1)
            sigma_q, sigma_p = F.softplus(rho_q) + 1e-4, F.softplus(rho_p) + 1e-4
            phi_z = self.phi_z(mu_q + sigma_q * torch.randn_like(mu_q))
            mu, rho = self.decoder(torch.cat([phi_z, h], -1)).chunk(2, -1)
            sigma = F.softplus(rho) + 1e-4
            ratio = (sigma_q / sigma_p).square()
            kl = 0.5 * (ratio + ((mu_q - mu_p) / sigma_p).square() - 1 - ratio.log()).sum(-1)
            nll = (0.5 * ((x[:, t] - mu) / sigma).square() + sigma.log() + 0.5 * math.log(2 * math.pi)).sum(-1)
            total = total + ((kl + nll) * mask[:, t]).sum()
            h, c = self.cell(torch.cat([phi_x, phi_z], -1), (h, c))
        return total


def step_of(loss: nn.Module, x: Tensor, mask: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.Adam(loss.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        (loss(x, mask) / mask.sum()).backward()
        nn.utils.clip_grad_norm_(loss.parameters(), 5.0)
        optimiser.step()

    return step


def seconds(step: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def best_rate(device: torch.device) -> float:
    """Floating-point operations a second of the best square product of 1024 to 4096."""
    rates = []
    for n in (1024, 2048, 4096):
        a = torch.randn(n, n, device=device)
        seconds(lambda a=a: a @ a, device)
        rates += [2 * n**3 / seconds(lambda a=a: a @ a, device) for _ in range(3)]
    return max(rates)


def matrix_flops(net: VRNN, rows: int) -> int:
    """Of the forward pass: two operations a weight and row."""
    return 2 * rows * sum(p.numel() for p in net.parameters() if p.ndim == 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"h": 256, "z": 64, "width": 128, "depth": 2, "batch": 32, "frames": 40, "repeats": 5}
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    o = parser.parse_args()
    device = torch.device(o.device)
    torch.manual_seed(0)
    pyro.enable_validation(False)
    widths = Widths(phi_x=o.width, phi_z=o.width, guide=o.width, prior=o.width, emission=o.width)
    net = compose(VARIANTS["vrnn-gauss"], "lstm", Sizes(o.h, 1, o.z, o.depth, widths), X).to(device)
    x = torch.randn(o.batch, o.frames, X, device=device)
    mask = torch.ones(o.batch, o.frames, dtype=torch.bool, device=device)
    plain = PlainLoop(o.h, o.z, o.width, o.depth).to(device)
    steps = {
        "sequence program": step_of(Elbo(net), x, mask),
        "markov program": step_of(Elbo(net, "markov"), x, mask),
        "plain PyTorch loop": step_of(plain, x, mask),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    floors = []
    for step in steps.values():
        step()
    for _ in range(o.repeats):  # interleaved: what slows the machine slows them all
        floors.append(3 * matrix_flops(net, o.batch * o.frames) / best_rate(device))
        for name, step in steps.items():
            times[name].append(seconds(step, device))
    floor, ours = statistics.median(floors), statistics.median(times["sequence program"])
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads, {vars(o)}")
    print(f"{'':20} {'over ours':>10} {'over floor':>11} {'frames/s':>10}")
    report = {}
    for name, taken in times.items():
        t = statistics.median(taken)
        report[name] = {"over_ours": t / ours, "over_floor": t / floor, "frames_per_second": o.batch * o.frames / t}
        print(f"{name:20} {t / ours:10.2f} {t / floor:11.2f} {o.batch * o.frames / t:10,.0f}")
    if o.json:
        o.json.write_text(
            json.dumps({"device": str(device), **vars(o), "json": str(o.json), "report": report}, indent=2)
        )


if __name__ == "__main__":
    main()
