"""The validation set, of which every rank scores a share."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_vrnn.data import Sequences, scoring_batches
from pyro_vrnn.inference.estimators import estimate
from pyro_vrnn.inference.results import Estimate, Scale
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.training.world import World


def validate(
    net: VRNN, sequences: Sequences, name: str, *, rows: int, particles: int, scale: Scale, world: World
) -> Estimate:
    """What one process would find: a sequence's score depends on its index and not on who computes it.

    Args:
        net: The model.
        sequences: What is scored.
        name: Of an estimator.
        rows: Sequences that a rank scores at once.
        particles: K, where it matters.
        scale: Units.
        world: Who scores.

    Returns:
        The same on every rank.
    """
    # Neighbours in length go to different ranks, which are then done at the same time.
    own = np.sort(np.argsort(sequences.lengths, kind="stable")[world.rank :: world.size])
    # Where there are fewer sequences than ranks, the rest score one that is not theirs, and forget it.
    asked = own if len(own) else np.arange(1)
    part = estimate(net, scoring_batches(sequences, rows, among=asked), name, particles=particles, scale=scale)

    def whole(column: NDArray[Any]) -> NDArray[Any]:
        values = torch.zeros(len(sequences), dtype=torch.float64)
        values[torch.from_numpy(own)] = torch.from_numpy(column[: len(own)]).to(values)
        return world.sum(values).numpy().astype(column.dtype)

    details = {key: whole(column) for key, column in part.details.items()}
    return replace(part, nats=whole(part.nats), frames=whole(part.frames), details=details)
