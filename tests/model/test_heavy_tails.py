"""Laplace's and Student's densities, against the library's and by hand."""

import math

import pytest
import torch
from torch import distributions
from torch.nn.functional import softplus
from torch.testing import assert_close

from pyro_vrnn.model.heavy_tails import Laplace, StudentT
from pyro_vrnn.model.variants import ModelOptions, build

D = 3


def test_laplace_is_the_librarys():
    a, x = torch.randn(4, 2 * D), torch.randn(4, D)
    mu, b = a[:, :D], softplus(a[:, D:]) + 1e-4
    assert_close(Laplace(D)(a).log_prob(x), distributions.Laplace(mu, b).log_prob(x).sum(-1))
    assert_close(Laplace(D)(a).log_prob(x), (-(x - mu).abs() / b - (2 * b).log()).sum(-1))


def test_student_t_is_the_librarys_and_by_hand():
    a, x = torch.randn(4, 3 * D), torch.randn(4, D)
    mu, sigma, nu = a[:, :D], softplus(a[:, D : 2 * D]) + 1e-4, 2 + softplus(a[:, 2 * D :])
    ours = StudentT(D)(a)
    assert_close(ours.log_prob(x), distributions.StudentT(nu, mu, sigma).log_prob(x).sum(-1))
    constant = ((nu + 1) / 2).lgamma() - (nu / 2).lgamma() - 0.5 * (nu * math.pi).log() - sigma.log()
    by_hand = constant - (nu + 1) / 2 * (1 + ((x - mu) / sigma).square() / nu).log()
    assert_close(ours.log_prob(x), by_hand.sum(-1))
    assert ours.variance.isfinite().all()


@pytest.mark.parametrize("head", [Laplace, StudentT])
def test_they_integrate_to_one_and_their_tails_are_heavy(head):
    density = head(1)(torch.tensor([0.2, 0.4, 1.0][: head(1).inputs]))
    axis = torch.linspace(-400, 400, 800_001).unsqueeze(-1)
    assert (density.log_prob(axis).exp().sum() * 0.001).item() == pytest.approx(1, abs=1e-4)
    gaussian = distributions.Normal(density.mean, density.stddev)
    assert density.log_prob(torch.tensor([12.0])) > gaussian.log_prob(torch.tensor([12.0])) + 3


@pytest.mark.parametrize(("name", "ends"), [("laplace", 1), ("student-t", 2)])
def test_training_starts_from_the_papers_scale(name, ends):
    net = build(ModelOptions(variant="rnn-gauss", emission=name), D)
    start = net.emission.net.last_bias.view(ends + 1, D)
    assert start[1].eq(0.6).all()
    assert not start[0].any()
