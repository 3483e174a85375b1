"""What stays in float32 under autocast: densities, states and latents; matrix products and features do not."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

_NARROW = (torch.bfloat16, torch.float16)


def full(a: Tensor) -> Tensor:
    """``a`` in float32 where autocast computed it in fewer bits; elsewhere ``a`` itself, of whatever dtype."""
    return a.float() if a.dtype in _NARROW and torch.is_autocast_enabled(a.device.type) else a


def in_full(a: Tensor) -> AbstractContextManager[None]:
    """Within it autocast, if it is on for the device of ``a``, is off.

    The library's recurrences run so: under autocast cuDNN's would be in float16, whatever autocast's own dtype, and
    their cells with them.
    """
    return torch.autocast(a.device.type, enabled=False) if _is_on(a) else nullcontext()


def _is_on(a: Tensor) -> bool:
    return torch.amp.is_autocast_available(a.device.type) and torch.is_autocast_enabled(a.device.type)
