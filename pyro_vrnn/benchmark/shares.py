"""Where the time of a training step goes."""

import statistics
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_vrnn.benchmark.steps import Case, TensorBound, optimiser_of, update
from pyro_vrnn.benchmark.timing import WARM_UP, finish

#: ``loop``: the recurrence, and the draw of the latents. ``emission``: all densities, and their divergence.
#: ``optimiser``: with the clip. ``data``: collation and transfer. ``rest``: features of x, and what the guide reads of
#: them before the loop, which for SRNN is the recurrence too.
PARTS = ("loop", "emission", "optimiser", "data", "rest")


def shares(case: Case, repeats: int) -> dict[str, float]:
    """Percent of a training step's time in each part, 100 together; medians of the repeats.

    The step is that of the tensor code without Pyro. Its backward pass is divided like the forward one: autograd goes
    back through what was computed last before anything that was computed earlier, so that the densities are done when
    the first gradient of what they read is complete, and the loop when the first of what it read is.

    Args:
        case: What is trained.
        repeats: Steps that count.
    """
    program = TensorBound(case.net)
    optimiser = optimiser_of(program)
    found = [_step(case, program, optimiser) for _ in range(WARM_UP[case.device.type] + repeats)][-repeats:]
    medians = {part: statistics.median(spent[part] for spent in found) for part in PARTS}
    return {part: 100 * taken / sum(medians.values()) for part, taken in medians.items()}


def _step(case: Case, program: TensorBound, optimiser: torch.optim.Optimizer) -> dict[str, float]:
    clock = _Stopwatch(case.device)
    clock.enter("data")
    x, mask = case.on_device(case.collated())
    clock.enter("optimiser")
    optimiser.zero_grad()
    clock.enter("rest")

    def entered(part: str, reads: Sequence[Tensor]) -> None:
        before = clock.enter(part)
        clock.back_to(before, reads)

    with case.precision.autocast():
        loss = program(x, mask, entered) / case.valid
    loss.backward()
    clock.enter("optimiser")
    update(program, optimiser)
    clock.enter("")
    return clock.spent


class _Stopwatch:
    """Every moment belongs to one part.

    Args:
        device: Waited for where a part ends.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.part = device, ""
        self.since = time.perf_counter()
        self.spent: dict[str, float] = dict.fromkeys((*PARTS, ""), 0.0)

    def enter(self, part: str) -> str:
        """What comes now belongs to this part; returns the one that ends."""
        finish(self.device)
        now = time.perf_counter()
        self.spent[self.part] += now - self.since
        before, self.part, self.since = self.part, part, now
        return before

    def back_to(self, part: str, reads: Sequence[Tensor]) -> None:
        """The part is entered again when the gradient of one of these is complete."""

        def complete(gradient: Tensor) -> None:
            self.enter(part)

        for a in reads:
            if a.requires_grad:
                a.register_hook(complete)
