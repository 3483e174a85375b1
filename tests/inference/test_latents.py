"""Whether the latents carry anything."""

import pytest
import torch

from pyro_vrnn.inference.latents import LatentUse, latent_use
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.guides import PriorGuide
from tests.model.small import Z, noise, ragged, small


def test_nats_are_per_valid_frame(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    eps = torch.randn(2, *mask.shape, Z)
    with torch.no_grad(), noise(eps, each_pass=True):
        guided, free = (infer(net, x, mask, mask.shape[:1], guide=guide)[1] for guide in (None, PriorGuide()))
        kl, log_emission = guided.kl[mask].mean().item(), guided.log_emission[mask].mean().item()
        from_prior = free.log_emission[mask].mean().item()
    with noise(eps, each_pass=True):
        use = latent_use(net, [(x, mask, torch.arange(4))])
    assert (use.kl, use.bound, use.bound_from_prior) == pytest.approx((kl, log_emission - kl, from_prior), rel=1e-12)


def test_a_model_that_ignores_its_latents_has_collapsed():
    net = small()
    assert not latent_use(net, [(*ragged(), torch.arange(4))]).collapsed
    net.guide = PriorGuide()
    with torch.no_grad():
        net.phi_z.read.weights[0].zero_()
    use = latent_use(net, [(*ragged(), torch.arange(4))])
    assert use.kl == pytest.approx(0, abs=1e-12)
    assert use.bound == pytest.approx(use.bound_from_prior)
    assert use.collapsed
    assert "collapsed" in use.line()
    assert use.metrics()["latents_collapsed"] == 1.0


@pytest.mark.parametrize(
    ("kl", "from_prior", "collapsed"), [(0.009, -100.05, True), (0.011, -100.05, False), (0.009, -100.2, False)]
)
def test_collapse_takes_both(kl, from_prior, collapsed):
    assert LatentUse(kl, -100.0, from_prior).collapsed == collapsed


def test_noise_is_of_its_own():
    net, data = small(), [(*ragged(), torch.arange(4))]
    before = torch.get_rng_state()
    assert latent_use(net, data, seed=1) == latent_use(net, data, seed=1)
    assert latent_use(net, data, seed=1) != latent_use(net, data, seed=2)
    assert torch.get_rng_state().equal(before)
