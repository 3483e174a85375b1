"""How much of a likelihood comes from components at the floor of sigma, whose density only the floor keeps finite."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from pyro_vrnn.inference.estimators import Batch, evaluating
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Piece, Pieces, parts
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout
from pyro_vrnn.model.sigma_floor import share_at_floor

#: From this share on a likelihood is warned of.
WORTH_A_WARNING = 0.01


@dataclass(frozen=True)
class FloorShare:
    r"""The mean over frames of the responsibility of components at the floor of sigma.

    Where values repeat exactly (offsets of 0, digital silence) a component that narrows onto them gains density without
    end, up to its floor, and says nothing of the data. Of honest densities the share is 0.

    Attributes:
        share: In [0, 1]; of a model without a mixture the share of frames with a sigma at the floor.
        dithered: Whether the frames had noise added, under which no value repeats.
    """

    share: float
    dithered: bool = False

    def line(self) -> str:
        """One sentence for people."""
        return f"components at the floor of sigma take {self.share:.1%} of the density"

    def warnings(self) -> list[str]:
        """What should be known before the likelihood is believed."""
        if self.share <= WORTH_A_WARNING:
            return []
        cause = (
            "although the data are dithered" if self.dithered else "where values repeat it has no upper bound: --dither"
        )
        return [f"{self.line()}: the likelihood is in part what the floor makes of it ({cause})"]

    def metrics(self) -> dict[str, float]:
        """Flat names and numbers, as they are tracked."""
        return {"share_at_sigma_floor": self.share}


@torch.no_grad()
def floor_share(net: VRNN, batches: Iterable[Batch], *, seed: int = 0, dithered: bool = False) -> FloorShare | None:
    """Measures :class:`FloorShare` on a data set, one draw a sequence; it does not depend on how sequences are batched.

    Args:
        net: The model.
        batches: ``(x, mask, indices)``; sequences of any length in constant memory.
        seed: Of the noise. It leaves the caller's random state alone.
        dithered: Whether the frames had noise added.

    Returns:
        None where the emission's family has no components that are known
        (:func:`~pyro_vrnn.model.sigma_floor.share_at_floor`).
    """
    total, frames = 0.0, 0
    with evaluating(net, seed):
        for piece, rollout in _rollouts(net, batches, seed):
            share = share_at_floor(rollout.emission, piece.x)
            if share is None:
                return None
            total += share.masked_fill(~piece.mask, 0.0).double().sum().item()
            frames += int(piece.mask.sum())
    return FloorShare(total / frames, dithered)


def _rollouts(net: VRNN, batches: Iterable[Batch], seed: int) -> Iterator[tuple[Piece, Rollout]]:
    for x, mask, indices in batches:
        for own_x, own_mask, own in parts(x, mask, Noise(seed, indices)):
            pieces = Pieces(net, own_x, own_mask)
            if net.has_latents:
                yield from ((piece, rollout) for piece, _, rollout in pieces.infer(noise=own))
            else:
                yield from pieces.follow()
