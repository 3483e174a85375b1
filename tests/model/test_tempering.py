"""Temperature: scales times it, logits divided by it; an unknown family is refused."""

import pyro.distributions as dist
import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.densities import DiagonalNormal, GaussianMixture
from pyro_vrnn.model.discrete import Bernoulli, LogisticMixture
from pyro_vrnn.model.heavy_tails import Laplace, StudentT
from pyro_vrnn.model.strokes import PenStroke
from pyro_vrnn.model.tempering import tempered, written_mean

HEADS = {
    "laplace": Laplace(3), "student": StudentT(3), "gmm": GaussianMixture(3, 4), "pen": PenStroke(3, 4),
    "dmol": LogisticMixture(3), "bernoulli": Bernoulli(3),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_one_is_the_density_itself_and_the_cold_is_decided(name):
    head = HEADS[name].double()
    density = head(torch.randn(5, head.inputs))
    assert tempered(density, 1.0) is density
    cold = tempered(density, 1e-3)
    assert type(cold) is type(density)
    assert cold.batch_shape == density.batch_shape
    assert cold.event_shape == density.event_shape
    draws = torch.stack([cold.sample() for _ in range(20)])
    assert draws.std(0).max() < 0.05 or name == "dmol"  # whose cells are 1 wide here
    assert_close(tempered(tempered(density, 3.0), 1 / 3).log_prob(draws[0]), density.log_prob(draws[0]))


def test_scales_are_multiplied_and_logits_divided():
    loc, scale = torch.randn(2, 3), torch.rand(2, 3) + 0.1
    assert_close(tempered(DiagonalNormal(loc, scale), 2.0).scale, 2 * scale)
    full = dist.MultivariateNormal(loc[0], scale_tril=torch.diag(scale[0]))
    assert_close(tempered(full, 2.0).covariance_matrix, 4 * full.covariance_matrix)
    pen = HEADS["pen"].double()(torch.randn(5, HEADS["pen"].inputs))
    hot = tempered(pen, 2.0)
    assert_close((hot.logits, hot.pen_logits, hot.scale), (pen.logits / 2, pen.pen_logits / 2, 2 * pen.scale))
    assert hot.correlation is pen.correlation


def test_a_pen_is_up_or_down_in_what_is_written_by_means():
    density = HEADS["pen"].double()(torch.randn(50, HEADS["pen"].inputs))
    x = density.sample()
    mean = written_mean(density, x)
    assert_close(mean[:, :2], density.mean[:, :2])
    assert mean[:, 2].equal(x[:, 2])


def test_another_family_is_refused():
    with pytest.raises(ConfigurationError, match="Cauchy has none"):
        tempered(dist.Cauchy(0.0, 1.0), 0.5)
