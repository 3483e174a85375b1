"""Where a step went wrong: replays it and names the part and the time step."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.state import Past

#: What is said where the replay shows nothing wrong.
NOTHING = "the step as a whole: replayed, every part and every gradient is finite"


def culprit(net: VRNN, x: Tensor, mask: Tensor, particles: int = 1, past: Past | None = None) -> str:
    """Replays a step whose loss or gradient was not finite, with the random state that it began with.

    Args:
        net: The parts, with the parameters that the step began with.
        x: The step's frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        particles: Draws a sequence.
        past: What the rows went on from.

    Returns:
        One phrase that names the part, the time step and what was not finite.
    """
    for name, parameter in net.named_parameters():
        if not parameter.isfinite().all():
            return f"the parameter {name}, before the step"
    if net.has_latents:
        z, rollout = infer(net, x, mask, x.shape[:1] if particles == 1 else (particles, len(x)), past=past)
    else:
        z = x.new_zeros((*x.shape[:-1], 0))
        rollout = follow(net, x, mask, z, past)
    states = rollout.states.h
    states.retain_grad()

    def values() -> Iterator[tuple[str, Tensor]]:
        yield "x (the data)", _largest(x)
        yield "phi_x", _largest(net.phi_x(x))
        yield "recurrence", _largest(states)
        if net.has_latents:
            yield "prior", rollout.log_prior(z)
            yield "guide", _largest(z)
            yield "phi_z", _largest(rollout.features_z)
            yield "guide", rollout.log_guide(z)
        yield "emission", rollout.log_emission

    found = [(steps[0], name) for name, value in values() if (steps := _bad_steps(value, mask))]
    if found:
        t, name = min(found, key=lambda pair: pair[0])  # of equals the first: the order is that of the computation
        return f"{name} at time step {t}"
    net.zero_grad()
    (-rollout.log_weights(z).sum()).backward()
    wrong = [name for name, p in net.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    if not wrong:
        return NOTHING
    steps = [] if states.grad is None else _bad_steps(_largest(states.grad))
    where = f" at time step {steps[-1]}" if steps else ""
    return f"the gradient of {wrong[0].split('.')[0]} ({wrong[0]}){where}"


def blamed(phrases: Sequence[str]) -> str:
    """Of what :func:`culprit` says on every rank, the first that names something; with its rank if there are several.

    Args:
        phrases: By rank.
    """
    if len(phrases) == 1:
        return phrases[0]
    named = ((phrase, rank) for rank, phrase in enumerate(phrases) if phrase != NOTHING)
    return next((f"{phrase} of rank {rank}'s rows" for phrase, rank in named), NOTHING)


def _largest(value: Tensor) -> Tensor:
    """The largest amount of each step, ``(*K, B, T, D)`` to ``(*K, B, T)``; NaN where one is."""
    return value.detach().abs().amax(-1)


def _bad_steps(value: Tensor, mask: Tensor | None = None) -> list[int]:
    """Time steps at which a value ``(*K, B, T)`` is not finite in a valid frame."""
    bad = ~value.detach().isfinite()
    bad = bad if mask is None else bad & mask
    return bad.flatten(0, -2).any(0).nonzero().flatten().tolist()
