"""Models of a few units, a ragged batch, and noise that both programs can be given."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from pyro.poutine import Trace
from torch import Tensor

from pyro_vrnn.model import markov, sequence
from pyro_vrnn.model.densities import DiagonalNormal
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import Sizes, Widths
from pyro_vrnn.model.variants import VARIANTS, Variant, compose

X, Z, H = 3, 2, 5
LENGTHS = (7, 3, 1, 5)
PROGRAMS = {"markov": markov, "sequence": sequence}


def small(
    variant: str | Variant = "vrnn-gauss", recurrence: str = "lstm", layers: int = 1, *, x: int = X, z: int = Z
) -> VRNN:
    """A model of the variant whose parameters are large enough for every input to matter."""
    widths = Widths(phi_x=10, phi_z=9, guide=12, prior=11, emission=13)
    row = VARIANTS[variant] if isinstance(variant, str) else variant
    net = compose(row, recurrence, Sizes(H, layers, z, 1, widths), x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.5)
    return net


def ragged(x: int = X) -> tuple[Tensor, Tensor]:
    """Frames ``(4, 7, X)`` of four sequences, the shortest of length 1, with zeros in the padding; and their mask."""
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(-1)
    return torch.randn(*mask.shape, x).masked_fill(~mask.unsqueeze(-1), 0.0), mask


@contextmanager
def noise(eps: Tensor, *, each_pass: bool = False) -> Iterator[None]:
    """Latents drawn inside take their standard normal noise from ``eps``: step t from ``eps[..., t, :]``.

    A density with a time axis takes all steps at once. Each pass over the sequence begins anew; with ``each_pass`` it
    takes the next item of ``eps``.
    """
    T, done = eps.shape[-2], 0

    def rsample(self: DiagonalNormal, sample_shape: tuple[int, ...] = ()) -> Tensor:
        nonlocal done
        drawn = eps[done // T % len(eps)] if each_pass else eps
        whole = (*sample_shape, *self.loc.shape) == drawn.shape
        drawn, done = (drawn, done + T) if whole else (drawn[..., done % T, :], done + 1)
        assert (*sample_shape, *self.loc.shape) == drawn.shape
        return self.loc + self.scale * drawn

    with patch.object(DiagonalNormal, "rsample", rsample):
        yield


def latents(trace: Trace) -> Tensor:
    """The latents ``(*K, B, T, Z)`` of a trace of either program."""
    if "z" in trace.nodes:
        return trace.nodes["z"]["value"]
    steps = [site["value"] for name, site in trace.nodes.items() if name.startswith("z_")]
    return torch.stack(steps, -2)


def as_sites(program: str, name: str, value: Tensor) -> dict[str, Tensor]:
    """``value`` ``(*K, B, T, D)`` by the names of the program's sites."""
    if program == "sequence":
        return {name: value}
    return {f"{name}_{t}": value_t for t, value_t in enumerate(value.unbind(-2))}
