"""Where a step went wrong: replays it and names the part and the time step."""

from collections.abc import Iterator

from torch import Tensor

from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import follow


def culprit(net: VRNN, x: Tensor, mask: Tensor) -> str:
    """Replays a step whose loss or gradient was not finite, with the random state that it began with.

    Args:
        net: The parts, with the parameters that the step began with.
        x: The step's frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.

    Returns:
        One phrase that names the part, the time step and what was not finite.
    """
    for name, parameter in net.named_parameters():
        if not parameter.isfinite().all():
            return f"the parameter {name}, before the step"
    if net.has_latents:
        z, rollout = infer(net, x, mask, x.shape[:1])
    else:
        z = x.new_zeros((*x.shape[:-1], 0))
        rollout = follow(net, x, mask, z)
    states = rollout.states.h
    states.retain_grad()

    def values() -> Iterator[tuple[str, Tensor]]:
        yield "x (the data)", x
        yield "phi_x", net.phi_x(x)
        if net.has_latents:
            yield "recurrence", states
            yield "prior", rollout.log_prior(z)
            yield "guide", z
            yield "phi_z", rollout.features_z
            yield "guide", rollout.log_guide(z)
        else:
            yield "recurrence", states
        yield "emission", rollout.log_emission

    found = [(t, name) for name, value in values() if (t := _first_step(value, mask)) is not None]
    if found:
        t, name = min(found, key=lambda pair: pair[0])  # of equals the first: the order is that of the computation
        return f"{name} at time step {t}"
    net.zero_grad()
    (-rollout.log_weights(z).sum()).backward()
    wrong = [name for name, p in net.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    if not wrong:
        return "the step as a whole: replayed, every part and every gradient is finite"
    last = None if states.grad is None else _last_step(states.grad)
    where = "" if last is None else f" at time step {last}"
    return f"the gradient of {wrong[0].split('.')[0]} ({wrong[0]}){where}"


def _bad_steps(value: Tensor, mask: Tensor | None) -> list[int]:
    """Time steps at which a value ``(B, T)`` or ``(B, T, D)`` is not finite in a valid frame."""
    bad = ~value.isfinite()
    bad = bad.any(-1) if bad.ndim == 3 else bad
    bad = bad if mask is None else bad & mask
    return bad.any(0).nonzero().flatten().tolist()


def _first_step(value: Tensor, mask: Tensor) -> int | None:
    return next(iter(_bad_steps(value.detach(), mask)), None)


def _last_step(gradient: Tensor) -> int | None:
    steps = _bad_steps(gradient, None)
    return steps[-1] if steps else None
