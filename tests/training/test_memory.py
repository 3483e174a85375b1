"""What a training step holds at its peak, in bytes of live tensors."""

import weakref
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_vrnn.model.sizes import Sizes, Widths
from pyro_vrnn.model.variants import VARIANTS, compose
from pyro_vrnn.training.objective import Elbo, Iwae, Objective

#: Every variant; all but one are for -m slow.
SOME = [name if name == "vrnn-gauss" else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]

B, X, Z, H = 16, 20, 8, 64
FLOAT = 4


class Live(TorchDispatchMode):
    """Counts the bytes of every storage that an operation returns until it dies."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for a in pytree.tree_leaves(out):
            if isinstance(a, Tensor):
                self._count(a.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def died(_: object) -> None:
            del self._known[key]
            self.now -= size

        self._known[key] = weakref.ref(storage, died)
        self.now += size
        self.peak = max(self.peak, self.now)


def peak(variant: str, T: int, every: int, objective: Callable[..., Objective] = Elbo) -> int:
    """Bytes at the peak of a step."""
    widths = Widths(phi_x=H, phi_z=H, guide=H, prior=H, emission=H)
    net = compose(VARIANTS[variant], "lstm", Sizes(H, 1, Z, 2, widths), X)
    net.checkpoint_every = every
    loss_of = objective(net)
    x, mask = torch.randn(B, T, X), torch.ones(B, T, dtype=torch.bool)
    with pyro.validation_enabled(False):
        loss_of(x[:, :40], mask[:, :40]).backward()  # the loop is recorded, and gradients have their place
        with Live() as live:
            loss_of(x, mask).backward()
    return live.peak


def row(T: int) -> int:
    """Bytes of a number a step."""
    return B * T * FLOAT


@pytest.mark.parametrize("variant", SOME)
def test_a_sequence_ten_times_as_long_fits(variant):
    """A smoothing guide keeps what it prepared, and h twice."""
    reference = 400 if variant != "srnn" else 600
    assert peak(variant, 1000, 25) < peak(variant, reference // 4, 0)


@pytest.mark.parametrize("variant", SOME)
def test_what_a_step_adds_is_its_latent_and_a_few_numbers(variant):
    """For the smoothing guide also what it prepared and h, twice, and as much of their gradients."""
    shorter, longer = (peak(variant, T, 25) for T in (300, 600))
    carried = 2 * H / 25
    grown = (longer - shorter) / row(300)
    assert grown < (6 * H if variant in ("srnn", "zforcing") else 3 * Z + 2 * carried + 16)


def test_without_segments_it_is_hundreds_of_numbers():
    """The same measure sees what segments save: else the bounds above would say nothing."""
    shorter, longer = (peak("vrnn-gauss", T, 0) for T in (100, 200))
    assert (longer - shorter) / row(100) > 10 * H


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_4000_steps_fit_where_400_did(variant):
    assert peak(variant, 4000, 100) < peak(variant, 400 if variant != "srnn" else 600, 0)


@pytest.mark.slow
def test_4000_steps_of_several_draws_fit_where_400_did():
    def draws(net):
        return Iwae(net, 3)

    assert peak("vrnn-gauss", 4000, 100, draws) < peak("vrnn-gauss", 400, 0, draws)
