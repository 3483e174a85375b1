"""Importance weights of any pair of Pyro programs."""

from pyro import plate, poutine
from torch import Tensor

from pyro_vrnn.model.program import Program


def log_weights(model: Program, guide: Program, x: Tensor, mask: Tensor, particles: int) -> Tensor:
    r"""Trajectory weights :math:`\log w_k = \log p(x, z_k) - \log q(z_k \mid x)`, ``(K, B)``, from Pyro's traces.

    Log-probabilities are summed for each sequence; ``pyro.infer.Importance`` sums them over the batch.

    Args:
        model: A model program.
        guide: Its guide.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        particles: K.
    """
    with plate("particles", particles, dim=-2):
        guide_trace = poutine.trace(guide).get_trace(x, mask)
    with plate("particles", particles, dim=-2):
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(x, mask)
    total = x.new_zeros(particles, x.shape[0])
    for trace, sign in ((model_trace, 1), (guide_trace, -1)):
        trace.compute_log_prob()
        for site in trace.nodes.values():
            if site["type"] == "sample" and not isinstance(site["fn"], poutine.subsample_messenger._Subsample):
                total = total + sign * site["log_prob"]
    return total
