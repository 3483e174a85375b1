"""The training loop: bound up, gradient clipped, best state by the validation bound alone."""

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyro
import torch
from torch import Tensor

from pyro_vrnn.data import Sequences, Share, followed_shares, number_of_batches, shares
from pyro_vrnn.errors import UserError
from pyro_vrnn.inference.noise import own_noise
from pyro_vrnn.inference.results import Estimate, Scale
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.training.ahead import Ready, ahead
from pyro_vrnn.training.carried import Carried
from pyro_vrnn.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from pyro_vrnn.training.config import TrainingOptions
from pyro_vrnn.training.device import Precision, keep_freed_memory, random_state, set_random_state
from pyro_vrnn.training.diagnose import blamed, culprit
from pyro_vrnn.training.interruption import Interruption
from pyro_vrnn.training.objective import build_objective, validated_by
from pyro_vrnn.training.step import READ_EVERY, MaskedAdam, Queued, Step, Unread
from pyro_vrnn.training.validation import validate
from pyro_vrnn.training.world import World

#: Seconds of metrics without a checkpoint after which one is due in the middle of an epoch.
CHECKPOINT_SECONDS = 60.0


class NotFiniteError(UserError):
    """A loss or a gradient that is not finite; the last good state is saved."""


class Watcher(Protocol):
    """Who is told how training goes."""

    def step(self, progress: Progress, metrics: dict[str, float], frames: int) -> None:
        """Of each optimiser step, in order, maybe some steps later; bound, reconstruction and KL in nats per frame."""

    def epoch(self, progress: Progress, validation: Estimate, improved: bool) -> None:
        """After each epoch, before its checkpoint."""

    def checkpointed(self, progress: Progress) -> None:
        """After each checkpoint."""


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
        self.batch_size, self.epochs = options.batch_size, options.epochs
        self.device = next(net.parameters()).device
        self.world = World() if world is None else world
        self.objective = build_objective(net, options, self.world)
        self.optimiser = MaskedAdam(net.parameters(), options.learning_rate)
        self.precision = Precision(options.precision, self.device)
        self.step = Step(self.objective, self.optimiser, options.clip, self.precision, self.world)
        self.unread = Unread(READ_EVERY if self.device.type == "cuda" else 1)
        self.progress = Progress()
        self.best: dict[str, Tensor] | None = None
        self.carried = Carried(net)
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
        self.best, self.progress, self.carried.past = load_checkpoint(
            folder or self.folder, self.net, self.optimiser, self.world, self.options.seed
        )

    def fit(self) -> bool:
        """Trains until the epochs, the steps or the patience are used up, then takes the best state.

        Returns:
            False if Ctrl-C ended it before.

        Raises:
            NotFiniteError: If a loss or a gradient is not finite.
        """
        keep_freed_memory()
        self._checkpointed_at = time.monotonic()
        if self.progress.step == 0:  # a resumed run has its state back
            torch.manual_seed(self.world.seed(self.options.seed))  # also of every CUDA device
        stop = False
        with Interruption() as interruption, pyro.validation_enabled(False), self.world.contact():
            while not self._over():
                self.unread.start_clock()
                with closing(ahead(self._rest_of_epoch(), self.device)) as batches_ahead:
                    for batch in batches_ahead:
                        self._step(batch)
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
            if self.best is None:
                self._validate()
            self._save()
        assert self.best is not None
        self.net.load_state_dict(self.best)
        return not stop

    def seconds_per_epoch(self, probes: int = 4) -> float:
        """How long an epoch will take, from the fastest of a few batches whose gradients are thrown away."""
        rates = []
        with own_noise(self.device), pyro.validation_enabled(False):
            start = time.perf_counter()
            for batch in ahead(islice(self._shares(self.options.seed), probes + 1), self.device):
                self.step.differentiate(batch, self.carried.beginning(batch))
                next(self.net.parameters()).detach().sum().item()  # waits for the device
                now = time.perf_counter()
                rates.append((now - start) / batch.frames)
                start = now
        self.optimiser.zero_grad()
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
        rank, size, carry = self.world.rank, self.world.size, self.options.carry or 1
        if carry > 1:
            return followed_shares(self.train, self.batch_size, carry, shuffle=shuffle, rank=rank, size=size, skip=skip)
        return shares(self.train, self.batch_size, shuffle=shuffle, rank=rank, size=size, skip=skip)

    def _step(self, batch: Ready) -> None:
        before, state, past = self.progress, random_state(self.device), self.carried.before(batch)
        self.objective.at(before.step)
        numbers = self.step(batch, self._learning_rate(), past)
        self.carried.past = self.objective.after
        self.progress = replace(before, step=before.step + 1, batch=before.batch + 1)
        self.unread.add(Queued(before, self.progress, batch, state, past, numbers))
        if self.unread.due:
            self._read()

    def _read(self) -> None:
        """Waits for the steps that are queued; afterwards everything is as the progress says."""
        for step, wrong, metrics in self.unread.read():
            if wrong is not None:
                self._stop_at(step, wrong)
            self.watcher.step(step.after, metrics, step.batch.frames)

    def _learning_rate(self) -> float:
        """Of this step; a function of the step alone, so that a resumed run goes on with it."""
        done = self.progress.step / self.steps
        share = 0.5 * (1 + math.cos(math.pi * min(done, 1.0))) if self.options.decay == "cosine" else 1.0
        return (self.options.learning_rate or 0.0) * share

    def _validate(self) -> None:
        self._read()
        with Precision("float32", self.device).products():  # two precisions are compared by what they trained
            validation = validate(
                self.net,
                self.validation,
                validated_by(self.options.objective, self.net),
                rows=self.batch_size,
                particles=self.objective.particles,
                scale=Scale(self.train.width),
                world=self.world,
            )
        # A best that is NaN is none: nothing compares as larger.
        improved = validation.per_sequence > self.progress.best or math.isnan(self.progress.best)
        if improved or self.best is None:
            self.progress = replace(self.progress, best=validation.per_sequence, best_epoch=self.progress.epoch)
            self.best = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.watcher.epoch(self.progress, validation, improved)

    def _end_epoch(self) -> None:
        if self.progress.batch == self.steps_per_epoch:  # not where max_steps ended it
            self.progress = replace(self.progress, epoch=self.progress.epoch + 1, batch=0)
        self._validate()
        self._save()

    def _save(self) -> None:
        self._read()
        past = self.carried.past if self.progress.batch else None  # all rows of an epoch begin anew
        rows = min(self.batch_size, len(self.train))
        save_checkpoint(self.folder, self.net, self.optimiser, self.best, self.progress, self.world, past, rows)
        self._checkpointed_at = time.monotonic()
        self.watcher.checkpointed(self.progress)
        self.unread.start_clock()

    def _stop_at(self, step: Queued, what: str) -> None:
        """Does the step again to name what went wrong; no parameter was changed by it or by what was queued after."""
        self.progress, self.carried.past = step.before, step.past
        self.optimiser.zero_grad()
        with own_noise(self.device), self.precision.products(), self.precision.autocast():
            set_random_state(self.device, step.random_state)
            found = culprit(self.net, step.batch.x, step.batch.mask, self.objective.particles, step.past)
            where = blamed(self.world.gather(found))
        self.optimiser.zero_grad()
        set_random_state(self.device, step.random_state)
        self._save()
        raise NotFiniteError(
            f"step {self.progress.step + 1} (epoch {self.progress.epoch + 1}): the {what} is not finite, first in "
            f"{where}; the last good state is saved in {self.folder}. "
            f"Try a smaller training.learning_rate or training.clip"
        )
