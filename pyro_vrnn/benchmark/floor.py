"""The matrix products that a training step of a composition must compute, whatever way it is computed.

They are counted on the plain loop over the parts, where each net is called at each step, and not on the program that is
timed: fusing, recomputing or deferring products does not move the floor.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.utils.flop_counter import FlopCounterMode

from pyro_vrnn.inference.noise import own_noise
from pyro_vrnn.model.densities import draw
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import State

#: Sequences that are counted; with one alone some products are of a matrix and a vector, which no counter sees.
ROWS = 2
#: From here on each step counts as much as the one before: the first has no past to send gradient to, the last no next.
REGULAR = 3


def gemm_operations(net: VRNN, batch: int, frames: int) -> int:
    r"""Floating-point operations of the matrix products of a training step, two a weight, row and product.

    They are those of the forward pass, the gradients of weights, and the gradients of data that autograd needs: x
    itself wants none.

    Args:
        net: The parts; left as they are.
        batch: Sequences, B.
        frames: Frames a sequence, T.
    """
    net = countable(net)
    if frames <= REGULAR:
        operations = _counted(net, frames)
    else:
        first, next_ = _counted(net, REGULAR), _counted(net, REGULAR + 1)
        operations = first + (frames - REGULAR) * (next_ - first)
    return operations * batch // ROWS


def plain_bound(net: VRNN, x: Tensor, mask: Tensor) -> Tensor:
    """The negative bound (Chung et al. 2015, Eq. 11), summed: every net called at every step.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: Whole sequences, ``(B, T)``.
    """
    T = x.shape[1]
    features_x, state, loss = net.phi_x(x), net.initial_state(x.shape[:1]), x.new_zeros(())
    driven = net.recurrence.prepare(features_x)
    known = None if net.recurrence.reads_z else _states(net, driven)
    read = prepared(net, features_x, mask, known)
    for t in range(T):
        if known is not None:
            state = State(known[t].h, state.z)
        z = state.z
        if net.prior is not None and net.guide is not None:
            p = net.prior(state)
            q = net.guide(read[:, t], state, lambda p=p: p)
            z = draw(q, None)
            loss = loss + _divergence(q, p, z).sum()
        features_z = net.features_z(z)
        loss = loss - net.emit(features_z, state).log_prob(x[:, t]).sum()
        state = State(state.h, z, state.memory)
        if known is None and t < T - 1:
            state = net.advance(driven[:, t], z, features_z, state)
    return loss


def _states(net: VRNN, driven: Tensor) -> list[State]:
    """What each step reads, where the recurrence reads no z."""
    state = net.initial_state(driven.shape[:1])
    nothing, states = driven.new_zeros((len(driven), net.dims.phi_z)), [state]
    for t in range(driven.shape[1] - 1):
        states.append(net.advance(driven[:, t], state.z, nothing, states[-1]))
    return states


def prepared(net: VRNN, features_x: Tensor, mask: Tensor, known: list[State] | None) -> Tensor:
    """What the guide reads of x at each step, ``(B, T, P)``.

    Args:
        net: The parts.
        features_x: phi_x(x), ``(B, T, F)``.
        mask: Whole sequences, ``(B, T)``.
        known: What each step reads, where the recurrence reads no z; else None.
    """
    if net.guide is None:
        return features_x
    h = None if known is None else torch.stack([state.h for state in known], -2)
    return net.guide.prepare(features_x, mask, h)[0]


def _divergence(q: Any, p: Any, z: Tensor) -> Tensor:
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return q.log_prob(z) - p.log_prob(z)


def _counted(net: VRNN, frames: int) -> int:
    x, mask = countable_frames(net, frames)
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    with quiet(), FlopCounterMode(display=False) as counter:
        torch.autograd.grad(plain_bound(net, x, mask), parameters, allow_unused=True)
    return counter.get_total_flops()


def countable(net: VRNN) -> VRNN:
    """A copy on a CPU in double precision: the library's recurrences are then made of products that can be counted."""
    return copy.deepcopy(net).to("cpu", torch.float64)


def countable_frames(net: VRNN, frames: int) -> tuple[Tensor, Tensor]:
    """Frames ``(ROWS, T, X)`` for a countable net, and their mask."""
    like = next(net.parameters())
    return like.new_zeros((ROWS, frames, net.dims.x)), torch.ones(ROWS, frames, dtype=torch.bool)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, neither the caller's random state nor Pyro's validation is touched."""
    with own_noise(torch.device("cpu")), pyro.validation_enabled(False):
        yield
