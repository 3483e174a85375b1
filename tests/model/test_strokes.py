"""The density of a pen's points: against its definition, at its edges, and in models."""

import copy
import math
import pickle

import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, MixtureSameFamily, MultivariateNormal
from torch.nn.functional import softplus
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.densities import SIGMA_FLOOR
from pyro_vrnn.model.state import Dims, State
from pyro_vrnn.model.strokes import RHO_LIMIT, PenStroke, StrokeMixture
from pyro_vrnn.model.variants import EMISSIONS

COMPONENTS = [1, 3, 20]
every_k = pytest.mark.parametrize("K", COMPONENTS)


def points(*batch: int, dtype: torch.dtype | None = None) -> Tensor:
    return torch.cat([torch.randn(*batch, 2, dtype=dtype), torch.randint(2, (*batch, 1)).to(dtype)], -1)


def drawn(K: int, *batch: int, spread: float = 1.0) -> StrokeMixture:
    head = PenStroke(3, K)
    return head(spread * torch.randn(*batch, head.inputs))


def by_definition(density: StrokeMixture, x: Tensor) -> Tensor:
    """A mixture of torch's multivariate normals times a Bernoulli, in double precision."""
    (sx, sy), rho = density.scale.double().unbind(-1), density.correlation.double()
    rows = [torch.stack([sx**2, rho * sx * sy], -1), torch.stack([rho * sx * sy, sy**2], -1)]
    components = MultivariateNormal(density.loc.double(), torch.stack(rows, -2))
    offsets = MixtureSameFamily(Categorical(logits=density.logits.double()), components)
    return offsets.log_prob(x[..., :2].double()) + Bernoulli(logits=density.pen_logits.double()).log_prob(
        x[..., 2].double()
    )


@every_k
def test_it_is_a_mixture_of_bivariate_normals_times_a_bernoulli(K):
    density, x = drawn(K, 4, 7), points(4, 7)
    assert (density.batch_shape, density.event_shape) == ((4, 7), (3,))
    assert_close(density.log_prob(x), by_definition(density, x), rtol=1e-10, atol=1e-10)


@every_k
def test_it_integrates_to_one(K):
    """Over the plane by quadrature, and over both pens; each pen's share is its probability."""
    density = drawn(K, spread=0.5)
    axis = torch.linspace(-9, 9, 601)
    plane = torch.cartesian_prod(axis, axis)
    masses = []
    for pen in (0.0, 1.0):
        grid = torch.cat([plane, plane.new_full((len(plane), 1), pen)], -1)
        masses.append(density.log_prob(grid).exp().sum().item() * (axis[1] - axis[0]).item() ** 2)
    assert sum(masses) == pytest.approx(1, abs=1e-5)
    assert masses[1] == pytest.approx(density.pen_logits.sigmoid().item(), abs=1e-5)


def test_what_the_head_makes_of_a_nets_output():
    a = torch.randn(5, PenStroke(3, 4).inputs)
    density = PenStroke(3, 4)(a)
    pen, logits, mu, rho, sigma = a.split([1, 4, 8, 4, 8], -1)
    assert_close(density.pen_logits, pen.squeeze(-1))
    assert_close(density.logits, logits)
    assert_close(density.loc, mu.view(5, 4, 2))
    assert_close(density.correlation, RHO_LIMIT * rho.tanh())
    assert_close(density.scale, softplus(sigma).view(5, 4, 2) + SIGMA_FLOOR)
    assert PenStroke(3, 20).inputs == 20 * 6 + 1
    assert PenStroke(3, 1).inputs == 6, "one component has no weight"


@every_k
def test_every_number_of_the_head_gets_a_gradient(K):
    head = PenStroke(3, K)
    a = (0.3 * torch.randn(6, head.inputs)).requires_grad_()
    head(a).log_prob(points(6)).sum().backward()
    assert (a.grad != 0).all()


@pytest.mark.parametrize("width", [1, 2, 4, 200])
def test_frames_that_are_no_points_are_refused(width):
    with pytest.raises(ConfigurationError, match=rf"frames of {width} values; expected points \(dx, dy, pen\)"):
        PenStroke(width, 2)


extreme = st.floats(-1e4, 1e4, allow_nan=False, width=32)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(extreme, min_size=13, max_size=13),
    st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, 1.0])),
)
def test_value_and_gradient_are_finite_at_the_extremes(numbers, point):
    """In float32: correlations at their limit, sigmas at their floor, values far away, a pen that is certain."""
    a = torch.tensor(numbers, dtype=torch.float32, requires_grad=True)
    x = torch.tensor(point, dtype=torch.float32)
    density = PenStroke(3, 2)(a)
    nats = density.log_prob(x)
    (gradient,) = torch.autograd.grad(nats, a)
    assert nats.isfinite()
    assert gradient.isfinite().all()
    assert (density.narrowest > 0).all()


def test_correlations_are_held_inside_and_the_density_there_keeps_its_digits():
    """u^2 + v^2 - 2 rho u v in float32 would have none left."""
    a = torch.zeros(2, 6, dtype=torch.float32)
    a[:, 3] = torch.tensor([1e4, -1e4])
    density = PenStroke(3, 1)(a)
    assert density.correlation.abs().eq(torch.tensor(RHO_LIMIT, dtype=torch.float32)).all()
    for far in (1.0, 100.0, 3000.0):
        x = torch.tensor([[far, far, 1.0], [far, -far, 1.0]], dtype=torch.float32)
        assert_close(density.log_prob(x).double(), by_definition(density, x), rtol=1e-5, atol=1e-4)


@every_k
def test_draws_are_of_the_density(K):
    density = drawn(K, spread=0.8)
    x = density.sample((40_000,))
    assert x.shape == (40_000, 3)
    assert set(x[:, 2].unique().tolist()) == {0.0, 1.0}
    error = x.std(0) / math.sqrt(len(x))
    assert ((x.mean(0) - density.mean).abs() < 5 * error).all()
    assert_close(x.var(0), density.variance, rtol=0.1, atol=0.0)
    pi = density.logits.softmax(-1)
    covariance = (pi * (density.correlation * density.scale.prod(-1) + density.loc.prod(-1))).sum()
    covariance -= density.mean[:2].prod()
    assert torch.cov(x[:, :2].T)[0, 1].item() == pytest.approx(
        covariance.item(), abs=0.1 * density.stddev[:2].prod().item()
    )


def test_draws_have_the_batch_in_their_shape():
    density = drawn(3, 4, 5)
    assert density.sample().shape == (4, 5, 3)
    assert density.sample((2, 7)).shape == (2, 7, 4, 5, 3)
    assert not density.sample().requires_grad
    # Rows have parameters of their own: each is drawn from around its own mean.
    narrow = StrokeMixture(
        torch.zeros(4, 1), torch.arange(8.0).view(4, 1, 2), torch.full((4, 1, 2), 1e-3), torch.zeros(4, 1),
        torch.tensor([-50.0, 50.0, -50.0, 50.0]),
    )  # fmt: skip
    expected = torch.tensor([[0.0, 1.0, 0.0], [2.0, 3.0, 1.0], [4.0, 5.0, 0.0], [6.0, 7.0, 1.0]])
    assert_close(narrow.sample((9,)), expected.expand(9, -1, -1), rtol=0, atol=0.01)


@every_k
def test_expand_repeats_the_density(K):
    density, x = drawn(K, 3), points(4, 3)
    assert density.expand((4, 3)).batch_shape == (4, 3)
    assert_close(density.expand((4, 3)).log_prob(x), density.log_prob(x))
    assert density.expand([4, 3]).sample((2,)).shape == (2, 4, 3, 3)


def test_the_pens_share_is_a_factor():
    density, x = drawn(3, 4), points(4)
    other = torch.cat([x[:, :2], 1 - x[:, 2:]], -1)
    assert_close(density.log_prob(x) - density.log_prob(other), density.log_mass(x) - density.log_mass(other))
    assert_close(density.log_mass(x).exp() + density.log_mass(other).exp(), torch.ones(4))


@pytest.mark.parametrize("value", [[0.0, 0.0, 0.5], [0.0, 0.0, 2.0], [math.nan, 0.0, 1.0]])
def test_what_is_no_point_is_refused_where_densities_are_validated(value):
    with pytest.raises(ValueError, match="support"):
        drawn(2).log_prob(torch.tensor(value))


@pytest.mark.parametrize(
    "wrong", [{"correlation": torch.ones(2) * 1.5}, {"scale": torch.zeros(2, 2)}, {"loc": torch.full((2, 2), math.nan)}]
)
def test_parameters_that_are_none_are_refused(wrong):
    density = drawn(2)
    names = ("logits", "loc", "scale", "correlation", "pen_logits")
    given = {name: getattr(density, name) for name in names} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StrokeMixture(**given, validate_args=True)


def test_the_narrowest_direction_is_the_smaller_eigenvalue():
    density = drawn(4, 6)
    (sx, sy), rho = density.scale.unbind(-1), density.correlation
    covariance = torch.stack([sx**2, rho * sx * sy, rho * sx * sy, sy**2], -1).unflatten(-1, (2, 2))
    assert_close(density.narrowest, torch.linalg.eigvalsh(covariance)[..., 0].sqrt(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["pen", "pen-gauss"])
def test_under_autocast_it_is_float32(name):
    torch.set_default_dtype(torch.float32)
    emission = EMISSIONS[name](Dims(x=3, z=2, h=5, phi_x=4, phi_z=3), [8])
    with torch.autocast("cpu", torch.bfloat16):
        density = emission(torch.randn(4, 3), State(torch.randn(4, 5), torch.randn(4, 2)))
        log_p = density.log_prob(points(4, dtype=torch.float32))
    parameters = (density.logits, density.loc, density.scale, density.correlation, density.pen_logits, log_p)
    assert {a.dtype for a in parameters} == {torch.float32}


def test_a_head_is_copied_and_pickled():
    head = PenStroke(3, 2)
    a, x = torch.randn(4, head.inputs), points(4)
    for other in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert other(a).log_prob(x).equal(head(a).log_prob(x))


def test_pyro_samples_it():
    x = points(4)
    trace = pyro.poutine.trace(lambda: pyro.sample("x", drawn(2, 4), obs=x)).get_trace()
    trace.compute_log_prob()
    assert trace.nodes["x"]["log_prob"].shape == (4,)
