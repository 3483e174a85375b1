"""A small corpus of arrays and a small network, enough to train on in a second."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pyro_vrnn.data import Normaliser, Sequences
from pyro_vrnn.inference.results import Estimate
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import Sizes, Widths
from pyro_vrnn.model.variants import VARIANTS, compose
from pyro_vrnn.training.checkpoint import Progress
from pyro_vrnn.training.config import TrainingOptions
from pyro_vrnn.training.loop import Trainer
from pyro_vrnn.training.world import World

FRAME = 5


@pytest.fixture(autouse=True)
def _float32():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


def sequences(count: int, seed: int) -> Sequences:
    generator = np.random.default_rng(seed)
    frames = [
        generator.normal(size=(length, FRAME)).cumsum(0).astype(np.float32)
        for length in generator.integers(2, 9, count)
    ]
    names = [f"{i}.wav" for i in range(count)]
    return Sequences(frames, names, None, frame=FRAME, sample_rate=100, normaliser=Normaliser(0.0, 2.0))


def network(variant: str = "vrnn-gauss", seed: int = 0) -> VRNN:
    torch.manual_seed(seed)
    widths = Widths(phi_x=6, phi_z=6, guide=6, prior=6, emission=6)
    return compose(VARIANTS[variant], "lstm", Sizes(h=8, layers=1, z=2, depth=1, widths=widths), FRAME)


class Recorder:
    """A watcher that remembers, and does what it is told at a step."""

    def __init__(self, at: int | None = None, do=None) -> None:
        self.steps: list[dict[str, float]] = []
        self.epochs: list[tuple[Estimate, bool]] = []
        self.checkpoints: list[int] = []
        self.at, self.do = at, do

    def step(self, progress: Progress, metrics: dict[str, float], frames: int) -> None:
        self.steps.append(metrics)
        if progress.step == self.at and self.do is not None:
            self.do()

    def epoch(self, progress: Progress, validation: Estimate, improved: bool) -> None:
        self.epochs.append((validation, improved))

    def checkpointed(self, progress: Progress) -> None:
        self.checkpoints.append(progress.step)


def trainer(
    folder: Path,
    net: VRNN | None = None,
    watcher: Recorder | None = None,
    world: World | None = None,
    **options,
) -> Trainer:
    chosen = TrainingOptions(**{"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "clip": 5.0, **options})
    net = network() if net is None else net
    torch.manual_seed(chosen.seed)
    return Trainer(net, sequences(18, 1), sequences(6, 2), chosen, folder, watcher or Recorder(), world)


def weights(net: VRNN) -> list[torch.Tensor]:
    return [p.detach().clone() for p in net.parameters()]
