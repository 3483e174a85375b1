r"""Long sequences in little memory: a sequence run segment by segment, each run again in the backward pass.

Where ``checkpoint_every`` of the network is N > 0 and gradients are on, what lives between the segments of N steps is
the state, z and a few numbers a step; everything else is made anew, segment by segment, while gradients go back (Chen
et al. 2016, arXiv:1604.06174). Memory is that of N steps and of T / N states instead of T steps, for one more forward
pass. Loss and gradients are those of the sequence run as a whole, with the same noise.

A guide that reads the future reads all segments first, from the last to the first. What it prepared stays, and where
the recurrence reads no z so does h.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_vrnn.model import draws, rollout
from pyro_vrnn.model.draws import Reading, of_one_particle, read
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.recomputation import recomputed
from pyro_vrnn.model.rollout import Rollout, versions
from pyro_vrnn.model.state import Past, State

#: h_0..h_{N-1} of a segment, and h and memory after its last step.
_Ran = tuple[Tensor, Tensor, tuple[Tensor, ...]]


class Terms(NamedTuple):
    """What of each step objectives are made of, as :class:`~pyro_vrnn.model.rollout.Rollout` names it; 0 in padding.

    Attributes:
        log_emission: In nats, ``(*K, B, T)``.
        log_prior: At z; None without latents, like all that follow.
        log_guide: At z.
        kl: None where the families have no closed form.
        kl_of_dimensions: ``(*K, B, T, Z)``; None where it was not asked for, or the families have no such form.
    """

    log_emission: Tensor
    log_prior: Tensor | None = None
    log_guide: Tensor | None = None
    kl: Tensor | None = None
    kl_of_dimensions: Tensor | None = None


class Segmented(Rollout):
    """A rollout that knows the terms of an objective, and has forgotten what they were made of.

    Asked for a state or a density, it runs the same latents once more in one piece.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        z: The latents, ``(*K, B, T, Z)``.
        terms: Of the objective, at z.
        past: What the first step went on from; None for the beginning of the sequences.
        end: What the last step left.
    """

    def __init__(
        self, net: VRNN, x: Tensor, mask: Tensor, z: Tensor, terms: Terms, past: Past | None, end: Past
    ) -> None:
        self.net, self.x, self.mask = net, x, mask
        self.past, self.last, self.after = past, *end
        self.z, self.terms = z, terms
        self._made_with = versions(net)

    @cached_property
    def _whole(self) -> Rollout:
        return rollout.follow(self.net, self.x, self.mask, self.z, self.past)

    @cached_property
    def states(self) -> State:  # type: ignore[override]
        """The state that each step reads, h ``(*K, B, T, H)`` and z ``(*K, B, T, Z)``."""
        return self._whole.states

    @cached_property
    def features_z(self) -> Tensor:  # type: ignore[override]
        """phi_z(z_t), ``(*K, B, T, G)``."""
        return self._whole.features_z

    @property
    def log_emission(self) -> Tensor:
        """log p(x_t | z_<=t, x_<t) in nats, ``(*K, B, T)``; 0 in the padding."""
        return self.terms.log_emission

    @property
    def kl(self) -> Tensor:
        """As in a rollout that was run in one piece."""
        if self.terms.kl is None:
            raise NotImplementedError
        return self.terms.kl

    @property
    def kl_of_dimensions(self) -> Tensor:
        """As in a rollout that was run in one piece."""
        by_dimension = self.terms.kl_of_dimensions
        return super().kl_of_dimensions if by_dimension is None else by_dimension

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z_t | x_<t, z_<t) in nats, ``(*K, B, T)``; 0 in the padding."""
        known = self.terms.log_prior if z is self.z else None
        return super().log_prior(z) if known is None else known

    def log_guide(self, z: Tensor) -> Tensor:
        """log q(z_t | x, z_<t) in nats, ``(*K, B, T)``; 0 in the padding."""
        known = self.terms.log_guide if z is self.z else None
        return super().log_guide(z) if known is None else known


def infer(
    net: VRNN,
    x: Tensor,
    mask: Tensor,
    batch_shape: torch.Size | tuple[int, ...],
    *,
    by_dimension: bool = False,
    past: Past | None = None,
) -> tuple[Tensor, Rollout]:
    """As :func:`pyro_vrnn.model.draws.infer`, in segments where the network says so.

    Args:
        net: The parts; the guide that is drawn from is its own.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        batch_shape: ``(*K, B)``: particles in front.
        by_dimension: Whether the divergence of every latent dimension will be asked for.
        past: What the first step goes on from; None for h_0 = 0.

    Returns:
        z, ``(*K, B, T, Z)``, and its rollout.
    """
    if not _cuts(net, x):
        return draws.infer(net, x, mask, batch_shape, past=past)
    assert net.guide is not None, "a model without latents has nothing to infer"
    eps = None
    if not (net.guide.reads_state or net.guide.reads_prior):
        # Such a guide draws all steps at once: a segment of its own would draw other noise.
        eps = x.new_empty((*batch_shape, x.shape[-2], net.dims.z), dtype=next(net.parameters()).dtype).normal_()
    return _in_segments(net, x, mask, batch_shape, None, eps, by_dimension, past)


def follow(net: VRNN, x: Tensor, mask: Tensor, z: Tensor, past: Past | None = None) -> Rollout:
    """As :func:`pyro_vrnn.model.rollout.follow`, in segments where the network says so.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        z: The latents, ``(*K, B, T, Z)``.
        past: What the first step goes on from; None for h_0 = 0.
    """
    if not _cuts(net, x):
        return rollout.follow(net, x, mask, z, past)
    return _in_segments(net, x, mask, z.shape[:-2], z, None, False, past)[1]


def _cuts(net: VRNN, x: Tensor) -> bool:
    return torch.is_grad_enabled() and 0 < net.checkpoint_every < x.shape[-2]


def _in_segments(
    net: VRNN,
    x: Tensor,
    mask: Tensor,
    batch_shape: torch.Size | tuple[int, ...],
    z: Tensor | None,
    eps: Tensor | None,
    by_dimension: bool,
    past: Past | None,
) -> tuple[Tensor, Segmented]:
    size = net.checkpoint_every
    xs, masks = x.split(size, -2), mask.split(size, -1)
    zs, noises = ([None] * len(xs) if a is None else a.split(size, -2) for a in (z, eps))
    state, memory = Past(net.initial_state(batch_shape)) if past is None else past
    state = state.expand(batch_shape)
    foresight = [None] * len(xs) if net.guide is None else _foresight(net, net.guide, x, mask, state)
    memory = None if foresight[0] is not None else memory
    segment = partial(_segment, net, batch_shape, by_dimension)
    drawn: list[Tensor] = []
    terms: list[Terms] = []
    for given in zip(xs, masks, zs, noises, foresight, strict=True):
        own_z, own_terms, state, memory = recomputed(segment, net, *given, state, memory)
        drawn.append(own_z)
        terms.append(own_terms)
    z = torch.cat(drawn, -2) if z is None else z
    return z, Segmented(net, x, mask, z, _over_time(terms), past, Past(state, memory))


def _segment(
    net: VRNN,
    batch_shape: torch.Size | tuple[int, ...],
    by_dimension: bool,
    x: Tensor,
    mask: Tensor,
    z: Tensor | None,
    eps: Tensor | None,
    foreseen: tuple[Tensor, _Ran | None] | None,
    state: State,
    memory: Any,
) -> tuple[Tensor | None, Terms, State, Any]:
    """Runs some steps: z where it is drawn here, the terms, the state after the last step, the guide's memory."""
    reading = None
    if net.guide is not None and foreseen is None:
        reading, memory = read(net, net.guide, x, mask, state, memory)
    elif foreseen is not None:
        reading = Reading(net.phi_x(x), *foreseen)
    if z is None:
        z, run = draws.infer(net, x, mask, batch_shape, past=Past(state), eps=eps, reading=reading)
        return z, _terms(run, z, by_dimension), run.last, memory
    run = rollout.follow(net, x, mask, z, Past(state), None if reading is None else reading.features_x)
    if reading is not None and net.guide is not None:
        run.q = net.guide(reading.prepared, run.states, lambda: run.p)
    return None, _terms(run, z, by_dimension), run.last, memory


def _terms(run: Rollout, z: Tensor, by_dimension: bool) -> Terms:
    if not run.net.has_latents:
        return Terms(run.log_emission)
    return Terms(
        run.log_emission,
        run.log_prior(z),
        run.log_guide(z),
        _if_known(lambda: run.kl),
        _if_known(lambda: run.kl_of_dimensions) if by_dimension else None,
    )


def _over_time(terms: Sequence[Terms]) -> Terms:
    return Terms(
        torch.cat([own.log_emission for own in terms], -1),
        _joined([own.log_prior for own in terms], -1),
        _joined([own.log_guide for own in terms], -1),
        _joined([own.kl for own in terms], -1),
        _joined([own.kl_of_dimensions for own in terms], -2),
    )


def _foresight(
    net: VRNN, guide: Guide, x: Tensor, mask: Tensor, first: State
) -> list[tuple[Tensor, _Ran | None] | None]:
    """What a guide that reads the future prepares for each segment, with what the recurrence gave where it reads no z.

    It comes to the segments from the last to the first, as :meth:`~pyro_vrnn.model.guides.Guide.prepare` wants them:
    without padding. So each row is turned until it ends where the longest does, and its padding is read after it.
    """
    size = net.checkpoint_every
    xs, masks = x.split(size, -2), mask.split(size, -1)
    if not guide.reads_future:
        return [None] * len(xs)
    steps, lengths = torch.arange(x.shape[-2], device=x.device), mask.sum(-1, keepdim=True)
    there, back = ((steps + turn).remainder(x.shape[-2]) for turn in (lengths, -lengths))
    rans = [None] * len(xs) if net.recurrence.reads_z else _ran(net, xs, of_one_particle(first, 2))
    h = _joined([None if ran is None else ran[0] for ran in rans], -2)
    hs = [None] * len(xs) if h is None else _turned(h, there).split(size, -2)
    del h
    memory: Any = None
    made: list[Tensor] = []
    for where, own_mask, own_h in reversed(list(zip(there.split(size, -1), masks, hs, strict=True))):
        prepared, memory = recomputed(partial(_looking_back, net, guide), net, x, where, own_mask, own_h, memory)
        made.insert(0, prepared)
    return list(zip(_turned(torch.cat(made, -2), back).split(size, -2), rans, strict=True))


def _turned(a: Tensor, where: Tensor) -> Tensor:
    """``a[b, where[b, t]]`` of ``(B, T, D)``; ``gather`` would keep a alive."""
    return a[torch.arange(len(a), device=a.device).unsqueeze(-1), where]


def _looking_back(
    net: VRNN, guide: Guide, x: Tensor, where: Tensor, mask: Tensor, h: Tensor | None, memory: Any
) -> tuple[Tensor, Any]:
    return guide.prepare(net.phi_x(_turned(x, where)), torch.ones_like(mask), h, memory)


def _ran(net: VRNN, xs: Sequence[Tensor], state: State) -> list[_Ran]:
    """All of a recurrence that reads no z; particles share it."""
    rans = []
    for x in xs:
        ran = recomputed(lambda x, state: net.ran_without_z(net.phi_x(x), state), net, x, state)
        state = State(ran[1], state.z, ran[2])
        rans.append(ran)
    return rans


def _joined(segments: Sequence[Tensor | None], dim: int) -> Tensor | None:
    known = [a for a in segments if a is not None]
    return torch.cat(known, dim) if known else None


def _if_known(term: Callable[[], Tensor]) -> Tensor | None:
    try:
        return term()
    except NotImplementedError:
        return None
