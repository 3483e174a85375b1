"""What an objective of training promises."""

from torch import Tensor, nn

from pyro_vrnn.inference.results import Kind
from pyro_vrnn.model.state import Past


class Objective(nn.Module):
    """Contract of an objective: the loss of a batch, in nats, summed over its valid frames.

    An ordinary module: its parameters are the network's, and a torch optimiser trains it.

    Attributes:
        kind: What the value that is maximised says of log p(x).
        particles: Draws a sequence; 1 unless the bound has more.
        parts: Detached sums of the last batch, in nats, by name: ``bound`` (what it says of log p(x)), where they are
            known ``reconstruction`` (log p(x | z)) and ``kl``, and ``objective`` where it is no bound.
        after: Where the last batch was given a past: what its next segments go on from, of one draw a sequence.
    """

    kind = Kind.BOUND
    particles = 1
    parts: dict[str, Tensor]
    after: Past | None = None

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The loss of frames ``(B, T, X)``, of which ``mask`` ``(B, T)`` says which count.

        Segments of longer sequences go on from a past with batch ``(B,)``, through which no gradient goes.
        """
        raise NotImplementedError

    def at(self, step: int) -> None:
        """Told the number of optimiser steps that are done, before each."""
