"""Every model's loop run by its plan gives what its modules give: values, gradients and noise."""

from itertools import product

import pyro
import pytest
import torch
from torch import Tensor

from pyro_vrnn.model.densities import DiagonalNormal
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import Past, State
from pyro_vrnn.model.variants import GUIDES, PRIORS, Variant
from pyro_vrnn.training.objective import Elbo, Iwae, Weighted
from tests.model.small import Z, ragged, small
from tests.scan.comparing import assert_same, by_the_modules, plans

RECURRENCES = [("lstm", 1), ("lstm", 2), ("gru", 1), ("gru", 2), ("linear", 1)]
LEADS = [(), (3,), (2, 3)]


@pytest.fixture(autouse=True)
def _no_validation():
    with pyro.validation_enabled(False):
        yield


def loss_and_gradients(net: VRNN, loss) -> list[Tensor | None]:
    torch.manual_seed(1)
    value = loss()
    return [value.detach(), *torch.autograd.grad(value, list(net.parameters()), allow_unused=True)]


def assert_equal_by_both(net: VRNN, loss, *, recorded: bool = True) -> None:
    ours = loss_and_gradients(net, loss)
    assert bool(plans(net) or plans(net.recurrence)) == recorded
    with by_the_modules():
        theirs = loss_and_gradients(net, loss)
    assert_same(ours, theirs, rtol=1e-9, atol=1e-9)


def everything(net: VRNN, x: Tensor, mask: Tensor, lead=(), state: State | None = None) -> Tensor:
    """A number that all that inference returns enters."""
    z, rollout = infer(net, x, mask, (*lead, len(x)), past=None if state is None else Past(state))
    last = [rollout.last.h, rollout.last.z, *rollout.last.memory]
    return rollout.log_weights(z).sum() + rollout.kl_or_sampled(z).sum() + sum(a.square().sum() for a in last)


@pytest.mark.parametrize(("recurrence", "layers"), RECURRENCES)
def test_every_variant(latent_variant, recurrence, layers):
    net = small(latent_variant, recurrence, layers)
    x, mask = ragged()
    # STORN draws all latents at once, and then follows them by the library's loop, which a linear recurrence has not.
    recorded = latent_variant != "storn" or recurrence == "linear"
    assert_equal_by_both(net, lambda: everything(net, x, mask), recorded=recorded)


@pytest.mark.parametrize("h_reads_z", [True, False])
@pytest.mark.parametrize(("prior", "guide"), list(product(PRIORS, [name for name in GUIDES if name != "independent"])))
def test_every_prior_and_guide_with_particles(prior, guide, h_reads_z):
    net = small(Variant(prior, guide, "gaussian", h_reads_z, ""), "gru")
    x, mask = ragged()
    for lead in LEADS[1:]:
        assert_equal_by_both(net, lambda lead=lead: everything(net, x, mask, lead))


@pytest.mark.parametrize("lead", LEADS)
def test_a_carried_state_and_its_gradient(lead):
    net = small("vrnn-gauss", "lstm", 2)
    x, mask = ragged()
    h, z = (torch.randn(*lead, 4, width, requires_grad=True) for width in (net.dims.h, Z))
    memory = [torch.randn(*lead, 4, net.dims.h, requires_grad=True) for _ in range(net.recurrence.memory_size)]

    def gradients() -> list[Tensor | None]:
        torch.manual_seed(1)
        value = everything(net, x, mask, lead, State(h, z, tuple(memory)))
        return [value.detach(), *torch.autograd.grad(value, [h, z, *memory, *net.parameters()], allow_unused=True)]

    ours = gradients()
    assert plans(net)
    with by_the_modules():
        assert_same(ours, gradients(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lead", LEADS)
def test_known_latents_followed_by_a_linear_recurrence(lead):
    recurrence = small("vrnn-gauss", "linear").recurrence
    x, z = torch.randn(4, 7, 10, requires_grad=True), torch.randn(*lead, 4, 7, 9, requires_grad=True)
    h = torch.randn(*lead, 4, 5, requires_grad=True)
    weights = torch.randn(*lead, 4, 7, 5)

    def gradients():
        out, (last, _) = recurrence.over_time(x.expand(*lead, *x.shape), z, State(h, z[..., 0, :]))
        value = (out * weights).sum() + last.square().sum()
        return [value.detach(), *torch.autograd.grad(value, [x, z, h, *recurrence.parameters()], allow_unused=True)]

    ours = gradients()
    assert plans(recurrence)
    with by_the_modules():
        assert_same(ours, gradients())


@pytest.mark.parametrize(
    "objective",
    [
        Elbo,
        lambda net: Elbo(net, elbo="trace"),
        lambda net: Iwae(net, 3),
        lambda net: Weighted(net, free_bits=0.5),
        lambda net: Weighted(net, annealing=2),
    ],
    ids=["mean-field", "trace", "iwae", "free-bits", "annealed"],
)
@pytest.mark.parametrize("variant", ["vrnn-gauss", "vrnn-i-gmm", "srnn"])
def test_every_objective(variant, objective):
    net = small(variant)
    x, mask = ragged()
    made = objective(net)
    assert_equal_by_both(net, lambda: made(x, mask))


class Shifted(DiagonalNormal):
    """A family of its own, which is scored step by step."""

    def expand(self, batch_shape, _instance=None):
        shape = (*batch_shape, *self.event_shape)
        return Shifted(self.loc.expand(shape), self.scale.expand(shape), validate_args=False)


def test_a_guide_whose_family_is_scored_step_by_step():
    net = small("vrnn-gauss")
    ours = net.guide.head.forward

    def head(a):
        density = ours(a)
        return Shifted(density.loc, density.scale, validate_args=False)

    net.guide.head.forward = head
    x, mask = ragged()

    def loss():
        z, rollout = infer(net, x, mask, (3, 4))
        return rollout.log_weights(z).sum()

    assert_equal_by_both(net, loss)


@pytest.mark.parametrize("guide", ["filtering", "smoothing"])
@pytest.mark.parametrize(("recurrence", "layers"), RECURRENCES)
def test_mixed_precision_is_as_far_from_float32_as_the_modules_are(guide, recurrence, layers):
    """Under autocast products are rounded to 8 bits, in another order: both are off by as much."""
    net = small(Variant("conditional", guide, "gaussian", True, ""), recurrence, layers).float()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    x, mask = ragged()
    x = x.float()

    def flat() -> Tensor:
        found = loss_and_gradients(net, lambda: everything(net, x, mask, (64,)) / 64)
        return torch.cat([a.flatten() for a in found if a is not None])

    with by_the_modules():
        truth = flat()
        with torch.autocast("cpu", torch.bfloat16):
            theirs = flat()
    with torch.autocast("cpu", torch.bfloat16):
        ours = flat()
    assert plans(net)
    off = (theirs - truth).norm() / truth.norm()
    assert 1e-4 < off < 0.1
    assert (ours - truth).norm() / truth.norm() < 3 * off + 0.01


def test_validated_densities_are_looked_at_step_by_step():
    """Validation asks for values at every step, which a recorded loop does not give."""
    net = small()
    x, mask = ragged()
    with pyro.validation_enabled(True):
        infer(net, x, mask, (4,))
    assert not plans(net)
