"""The training loop: bound up, gradient clipped, best state by the validation bound alone."""

import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyro
import torch
from torch import Tensor

from pyro_vrnn.data import Sequences, Share, number_of_batches, shares
from pyro_vrnn.errors import ConfigurationError, UserError
from pyro_vrnn.inference.noise import own_noise
from pyro_vrnn.inference.results import Estimate, Scale
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from pyro_vrnn.training.config import TrainingOptions
from pyro_vrnn.training.diagnose import blamed, culprit
from pyro_vrnn.training.interruption import Interruption
from pyro_vrnn.training.objective import build_objective, validated_by
from pyro_vrnn.training.validation import validate
from pyro_vrnn.training.world import World

#: Seconds of metrics without a checkpoint after which one is due in the middle of an epoch.
CHECKPOINT_SECONDS = 60.0


class NotFiniteError(UserError):
    """A loss or a gradient that is not finite; the last good state is saved."""


class Watcher(Protocol):
    """Who is told how training goes."""

    def step(self, progress: Progress, metrics: dict[str, float], frames: int) -> None:
        """After each optimiser step; bound, reconstruction and KL in nats per frame."""

    def epoch(self, progress: Progress, validation: Estimate, improved: bool) -> None:
        """After each epoch, before its checkpoint."""

    def checkpointed(self, progress: Progress) -> None:
        """After each checkpoint."""


def device_named(name: str) -> torch.device:
    """The device that ``--device`` means; ``auto`` takes CUDA where there is one.

    Raises:
        ConfigurationError: If there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigurationError(f"--device {name}: unknown; choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"--device {name}: not supported; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; use --device cpu"
        )
    return device


class Trainer:
    """Trains a network on a corpus's training part.

    Args:
        net: The parts, on their device.
        train: Training sequences.
        validation: Validation sequences, which alone choose the best state.
        options: Explicit options.
        folder: Where checkpoints go.
        watcher: Who is told.
        world: The processes that train together; None for this one alone.
    """

    def __init__(
        self,
        net: VRNN,
        train: Sequences,
        validation: Sequences,
        options: TrainingOptions,
        folder: Path,
        watcher: Watcher,
        world: World | None = None,
    ) -> None:
        assert options.batch_size, "options must be explicit"
        assert options.learning_rate, "options must be explicit"
        assert options.epochs, "options must be explicit"
        assert options.clip, "options must be explicit"
        self.net, self.options, self.folder, self.watcher = net, options, folder, watcher
        self.train, self.validation = train, validation
        self.batch_size, self.epochs, self.clip = options.batch_size, options.epochs, options.clip
        self.device = next(net.parameters()).device
        self.world = World() if world is None else world
        self.objective = build_objective(net, options, self.world)
        self._loss = self.world.wrap(self.objective)
        self.optimiser = torch.optim.Adam(net.parameters(), lr=options.learning_rate, fused=True)
        self.progress = Progress()
        self.best: dict[str, Tensor] | None = None
        self._checkpointed_at = time.monotonic()

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training part."""
        return number_of_batches(self.train, self.batch_size)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training, if patience does not end it."""
        steps = self.epochs * self.steps_per_epoch
        return min(steps, self.options.max_steps or steps)

    def resume(self, folder: Path | None = None) -> None:
        """Goes on from a checkpoint.

        Args:
            folder: Where it lies; None: where this one's go.

        Raises:
            TrackingError: If it is missing, damaged or of another model.
        """
        self.best, self.progress = load_checkpoint(
            folder or self.folder, self.net, self.optimiser, self.world, self.options.seed
        )

    def fit(self) -> bool:
        """Trains until the epochs, the steps or the patience are used up, then takes the best state.

        Returns:
            False if Ctrl-C ended it before.

        Raises:
            NotFiniteError: If a loss or a gradient is not finite.
        """
        self._checkpointed_at = time.monotonic()
        if self.progress.step == 0:
            torch.manual_seed(
                self.world.seed(self.options.seed)
            )  # also of every CUDA device; a resumed run has its state back
        stop = False
        with Interruption() as interruption, pyro.validation_enabled(False), self.world.contact():
            while not self._over():
                for share in self._rest_of_epoch():
                    self._step(share)
                    # Ranks end together: a clock and a key that only one of them sees are everybody's.
                    late = time.monotonic() - self._checkpointed_at > CHECKPOINT_SECONDS
                    stop, late = self.world.any(interruption.asked, late)
                    if stop or self._out_of_steps():
                        break
                    if late:
                        self._save()
                if stop:
                    break
                self._end_epoch()
            (stop,) = self.world.any(interruption.asked)
            if stop and self.best is None:
                self._validate()
            self._save()
        assert self.best is not None
        self.net.load_state_dict(self.best)
        return not stop

    def seconds_per_epoch(self, probes: int = 4) -> float:
        """How long an epoch will take, from the fastest of a few batches whose gradients are thrown away."""
        rates = []
        with own_noise(self.device), pyro.validation_enabled(False):
            for batch, frames in islice(self._shares(self.options.seed), probes + 1):
                start = time.perf_counter()
                x, mask = batch.x.to(self.device), batch.mask.to(self.device)
                self.objective(x, mask).backward()
                next(self.net.parameters()).detach().sum().item()  # waits for the device
                rates.append((time.perf_counter() - start) / frames)
        self.net.zero_grad()
        frames = int(self.train.lengths.sum()) + int(self.validation.lengths.sum()) // 3
        return frames * min(rates[1:] or rates)  # the first is warming up

    def _over(self) -> bool:
        done = self.progress
        stale = done.epoch - done.best_epoch >= self.options.patience
        return done.epoch >= self.epochs or stale or self._out_of_steps()

    def _out_of_steps(self) -> bool:
        return self.options.max_steps is not None and self.progress.step >= self.options.max_steps

    def _rest_of_epoch(self) -> Iterator[Share]:
        """The batches of this epoch that are not done: their order depends on seed and epoch alone."""
        return self._shares(self.options.seed * 1_000_003 + self.progress.epoch, skip=self.progress.batch)

    def _shares(self, shuffle: int, skip: int = 0) -> Iterator[Share]:
        rank, size = self.world.rank, self.world.size
        return shares(self.train, self.batch_size, shuffle=shuffle, rank=rank, size=size, skip=skip)

    def _step(self, share: Share) -> None:
        start, random_state = time.perf_counter(), _random_state(self.device)
        batch, frames = share
        x, mask = batch.x.to(self.device), batch.mask.to(self.device)
        self.optimiser.zero_grad()
        self.objective.at(self.progress.step)
        # Adam and the clip see nats per frame, so that both mean the same for short and long batches.
        loss = self._loss(x, mask) / frames
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        parts = {f"train/{name}": part / frames for name, part in self.objective.parts.items()}
        sums = self.world.sum(torch.stack([loss.detach(), *parts.values()]))
        length, value, *values = torch.cat([norm.unsqueeze(0), sums]).tolist()
        if not (math.isfinite(value) and math.isfinite(length)):
            self._stop_at(x, mask, random_state, "gradient" if math.isfinite(value) else "loss")
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.optimiser.step()
        self.progress.step += 1
        self.progress.batch += 1
        metrics = {
            **dict(zip(parts, values, strict=True)),
            "train/gradient_norm": length,
            "train/frames_per_second": frames / (time.perf_counter() - start),
        }
        self.watcher.step(self.progress, metrics, frames)

    def _learning_rate(self) -> float:
        """Of this step; a function of the step alone, so that a resumed run goes on with it."""
        done = self.progress.step / self.steps
        share = 0.5 * (1 + math.cos(math.pi * min(done, 1.0))) if self.options.decay == "cosine" else 1.0
        return (self.options.learning_rate or 0.0) * share

    def _validate(self) -> None:
        validation = validate(
            self.net,
            self.validation,
            validated_by(self.options.objective, self.net),
            rows=self.batch_size,
            particles=self.objective.particles,
            scale=Scale(self.train.frame),
            world=self.world,
        )
        # A best that is NaN is none: nothing compares as larger.
        improved = validation.per_sequence > self.progress.best or math.isnan(self.progress.best)
        if improved or self.best is None:
            self.progress.best, self.progress.best_epoch = validation.per_sequence, self.progress.epoch
            self.best = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.watcher.epoch(self.progress, validation, improved)

    def _end_epoch(self) -> None:
        if self.progress.batch == self.steps_per_epoch:  # not where max_steps ended it
            self.progress.epoch += 1
            self.progress.batch = 0
        self._validate()
        self._save()

    def _save(self) -> None:
        save_checkpoint(self.folder, self.net, self.optimiser, self.best, self.progress, self.world)
        self._checkpointed_at = time.monotonic()
        self.watcher.checkpointed(self.progress)

    def _stop_at(self, x: Tensor, mask: Tensor, random_state: Tensor, what: str) -> None:
        """Replays the step to name what went wrong; its parameters are still those of the last good state."""
        self.optimiser.zero_grad()
        with own_noise(self.device):
            _set_random_state(self.device, random_state)
            where = blamed(self.world.gather(culprit(self.net, x, mask, self.objective.particles)))
        self.optimiser.zero_grad()
        _set_random_state(self.device, random_state)
        self._save()
        raise NotFiniteError(
            f"step {self.progress.step + 1} (epoch {self.progress.epoch + 1}): the {what} is not finite, first in "
            f"{where}; the last good state is saved in {self.folder}. "
            f"Try a smaller training.learning_rate or training.clip"
        )


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
