"""What the two Pyro programs share: the network they run, and the shape of what they are given."""

import itertools
import weakref
from typing import Any

import torch
from pyro.nn import PyroModule
from torch import Tensor

from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout
from pyro_vrnn.model.state import Past

_numbers = itertools.count()
# Kept beside the networks, not on them: a copy, or one that was unpickled, must not bring another's name along.
_names: weakref.WeakKeyDictionary[VRNN, str] = weakref.WeakKeyDictionary()


def _name(net: VRNN) -> str:
    if net not in _names:
        _names[net] = f"vrnn{next(_numbers)}"
    return _names[net]


class Program(PyroModule):
    """A Pyro program around a plain network.

    Pyro's parameter store knows parameters by name, so every network gets a name of its own: two networks in one
    process never answer for each other, and the model and the guide of one network share what they share.

    Args:
        net: The parts.
        store: Whether Pyro's parameter store is told of the parameters at each call. ``SVI`` and ``RenyiELBO`` train
            nothing without; a torch optimiser has no use for it, and each call is faster.

    Attributes:
        after: What the next segment goes on from, after a call that was given a past; no gradient goes through it. The
            guide's knows the guide's memory, too.
    """

    after: Past | None

    def __init__(self, net: VRNN, *, store: bool = True) -> None:
        super().__init__(name=_name(net))
        self.net, self.store, self.after = net, store, None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._pyro_name = _name(self.__dict__["_modules"]["net"])

    @property
    def parts(self) -> VRNN:
        """The network; reading it as an attribute is what announces its parameters to the store."""
        return self.net if self.store else self.__dict__["_modules"]["net"]

    def leave(self, past: Past | None, rollout: Rollout | None) -> None:
        """Leaves ``after``, where a past was given."""
        self.after = None if past is None or rollout is None else rollout.left

    def frames_of(self, x: Tensor | None, mask: Tensor | None) -> Tensor:
        """The mask ``(B, T)`` that belongs to x ``(B, T, X)``.

        Raises:
            ValueError: If both are missing or their shapes disagree.
        """
        if x is None:
            if mask is None:
                raise ValueError("neither x nor mask came: without x, mask (B, T) says how many frames to draw")
            return mask
        width = self.__dict__["_modules"]["net"].dims.x
        if x.ndim != 3 or x.shape[-1] != width:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, T, {width})")
        if mask is None:
            return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        if mask.shape != x.shape[:2] or mask.dtype != torch.bool:
            raise ValueError(
                f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; "
                f"expected {tuple(x.shape[:2])} and torch.bool"
            )
        return mask
