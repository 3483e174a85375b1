"""One optimiser step, queued without waiting for the device, and the steps whose numbers were not read yet."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyro_vrnn.model.state import Past
from pyro_vrnn.training.ahead import Ready
from pyro_vrnn.training.checkpoint import Progress
from pyro_vrnn.training.device import Precision
from pyro_vrnn.training.objective import Objective
from pyro_vrnn.training.world import World

#: Steps on CUDA after which their numbers are read: waiting costs what the device could have had queued meanwhile.
READ_EVERY = 10


class MaskedAdam(torch.optim.Adam):
    """Fused Adam, which leaves parameters, moments and step counts as they are while a flag on their device is 1.

    Args:
        parameters: All on one device.
        learning_rate: Of the first step.

    Attributes:
        found_inf: The flag, 0 or 1, float32. Fused optimisers read this attribute on the device: torch's gradient
            scaler sets it on them.
    """

    found_inf: Tensor

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        parameters = list(parameters)
        super().__init__(parameters, lr=learning_rate, fused=True)
        self.found_inf = parameters[0].new_zeros((), dtype=torch.float32)


class Numbers(NamedTuple):
    """What a step has to say, scalars on the device.

    Attributes:
        loss: Nats per frame.
        norm: Of the gradient, before it was clipped.
        parts: Of the objective, nats in all.
    """

    loss: Tensor
    norm: Tensor
    parts: dict[str, Tensor]


class Step:
    """One optimiser step; nothing in it waits for the device.

    A loss or gradient that is not finite raises the optimiser's flag, which stays up: neither that step nor any after
    it changes a parameter, however late the numbers are read.

    Args:
        objective: What goes down.
        optimiser: Of its parameters.
        clip: Largest norm of the gradient of the bound per frame.
        precision: Of matrix products.
        world: The processes that train together; None for this one alone.
    """

    def __init__(
        self,
        objective: Objective,
        optimiser: MaskedAdam,
        clip: float,
        precision: Precision,
        world: World | None = None,
    ) -> None:
        self.objective, self.optimiser, self.clip, self.precision = objective, optimiser, clip, precision
        self.world = World() if world is None else world
        self._loss = self.world.wrap(objective)  # completes gradients before they are clipped

    def __call__(self, batch: Ready, learning_rate: float, past: Past | None = None) -> Numbers:
        """Queues the step. ``batch.frames`` are those of the global batch, whatever part of it lies here.

        The optimiser and the clip see nats per frame, so that both mean the same for short and long batches.
        """
        loss = self.differentiate(batch, past)
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.clip)
        names = list(self.objective.parts)
        loss, *parts = self.world.sum(torch.stack([loss, *self.objective.parts.values()])).unbind()
        self.optimiser.found_inf.masked_fill_(~(loss.isfinite() & norm.isfinite()), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.step()
        return Numbers(loss, norm, dict(zip(names, parts, strict=True)))

    def differentiate(self, batch: Ready, past: Past | None = None) -> Tensor:
        """Sets the gradients and returns the loss of this process's rows, nats per frame of the global batch."""
        self.optimiser.zero_grad()
        with self.precision.products():
            with self.precision.autocast():
                # An objective that knows no past is given none.
                loss = self._loss(batch.x, batch.mask, *(() if past is None else (past,))) / batch.frames
            loss.backward()
        return loss.detach()


class Queued(NamedTuple):
    """A step that was queued, and all that it takes to do it again.

    Attributes:
        before: Where training stood.
        after: Where it stands if the step was finite.
        batch: What it read.
        random_state: Of the device, before.
        past: What its rows went on from.
        numbers: What it will say.
    """

    before: Progress
    after: Progress
    batch: Ready
    random_state: Tensor
    past: Past | None
    numbers: Numbers


class Told(NamedTuple):
    """What a step said, once it was read.

    Attributes:
        step: Which.
        wrong: ``loss`` or ``gradient``, if that was not finite.
        metrics: By the name that they are tracked under; bounds in nats per frame.
    """

    step: Queued
    wrong: str | None
    metrics: dict[str, float]


class Unread:
    """Steps that were queued and not read: one transfer reads them all.

    Args:
        every: Steps after which they are due.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._steps: list[Queued] = []
        self._since = time.perf_counter()

    @property
    def due(self) -> bool:
        """Whether enough have come together."""
        return len(self._steps) >= self.every

    def add(self, step: Queued) -> None:
        """One more."""
        self._steps.append(step)

    def start_clock(self) -> None:
        """Says that what went before is not to count as training's time."""
        self._since = time.perf_counter()

    def read(self) -> Iterator[Told]:
        """Waits for the device, and tells of the steps in their order; afterwards there are none, and the clock starts.

        Each has the rate of all of them together: steps that are queued have no duration of their own.
        """
        if not self._steps:
            return
        steps, self._steps = self._steps, []
        scalars = [scalar for step in steps for scalar in (*step.numbers[:2], *step.numbers.parts.values())]
        values = iter(torch.stack(scalars).tolist())
        rate = sum(step.batch.frames for step in steps) / (time.perf_counter() - self._since)
        for step in steps:
            loss, norm = next(values), next(values)
            wrong = None if math.isfinite(loss + norm) else "gradient" if math.isfinite(loss) else "loss"
            parts = {f"train/{name}": next(values) / step.batch.frames for name in step.numbers.parts}
            yield Told(step, wrong, {**parts, "train/gradient_norm": norm, "train/frames_per_second": rate})
        self.start_clock()
