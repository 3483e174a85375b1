"""What is maximised: gradients without bias, objectives that say what they are, options that have a meaning."""

import math

import pytest
import torch
from torch.distributions import kl_divergence

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.likelihood import iwae
from pyro_vrnn.inference.linear_gaussian import evidence
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model.densities import DiagonalNormal
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.training.config import TrainingOptions
from pyro_vrnn.training.objective import Elbo, Fivo, Iwae, Weighted, build_objective
from tests.inference.oracle import drawn_from, mean_and_error, oracle
from tests.model.small import Z, noise, ragged, small

K, T = 3, 3


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)


def tame(variant: str):
    """A small model whose weights have light tails."""
    net = small(variant)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.7)
    return net


def plain(net, x, mask):
    """The bound itself, differentiated as it stands."""
    z, rollout = infer(net, x, mask, (K, len(x)))
    return -(rollout.log_weights(z).sum(-1).logsumexp(0) - math.log(K)).sum()


def stopped_at_the_outputs(net, x, mask):
    """The usual way: mu and sigma of q are detached. Biased here, since q(z_t | z_<t) loses its path to z_<t."""
    z, rollout = infer(net, x, mask, (K, len(x)))
    q = DiagonalNormal(rollout.q.loc.detach(), rollout.q.scale.detach())
    log_w = (rollout.log_emission + rollout.log_prior(z) - q.log_prob(z)).sum(-1)
    weights = log_w.detach().softmax(0)
    leaf = follow(net, x, mask, z.detach())
    log_p = (leaf.log_emission + leaf.log_prior(z.detach())).sum(-1)
    (through_z,) = torch.autograd.grad((weights.square() * log_w).sum(), z, retain_graph=True)
    return -((weights * log_p).sum() + (through_z * z).sum())


def mean_gradients(net, loss, x, mask, draws: int, block: int = 20_000):
    """The mean gradient of one sequence's loss over independent draws, and its standard error, of all parameters."""
    x, mask = x.expand(block, -1, -1), mask.expand(block, -1)
    found = []
    for _ in range(draws // block):
        net.zero_grad()
        loss(net, x, mask).backward()
        found.append(torch.cat([p.grad.flatten() for p in net.parameters()]) / block)
    blocks = torch.stack(found)
    return blocks.mean(0), blocks.std(0) / len(blocks) ** 0.5


@pytest.mark.parametrize(
    ("variant", "draws"), [pytest.param("vrnn-gauss", 1_000_000, marks=pytest.mark.slow), ("srnn", 100_000)]
)
def test_the_doubly_reparameterised_gradient_is_that_of_the_bound(variant, draws):
    net = tame(variant)
    x, mask = torch.randn(1, T, 3), torch.ones(1, T, dtype=torch.bool)
    ours, error = mean_gradients(net, lambda net, x, mask: Iwae(net, K)(x, mask), x, mask, draws)
    theirs, other = mean_gradients(net, plain, x, mask, draws)
    off = (ours - theirs).abs() / (error.square() + other.square()).sqrt().clamp(min=1e-12)
    # The largest of some hundreds of normal deviates may pass 4; a bias would pass it by far.
    assert off.max() < 5
    assert (off > 4).double().mean() < 0.005
    if variant == "vrnn-gauss":
        biased, other_error = mean_gradients(net, stopped_at_the_outputs, x, mask, 200_000)
        wrong = (biased - theirs).abs() / (other_error.square() + other.square()).sqrt().clamp(min=1e-12)
        assert (wrong > 6).double().mean() > 0.02, "the usual way must not pass for ours"


def test_it_is_quieter_where_the_guide_is_close_to_the_posterior():
    net = oracle(2, size=0.2, widen=1.1)
    x, mask = drawn_from(net, T)
    _, ours = mean_gradients(net, lambda net, x, mask: Iwae(net, K)(x, mask), x, mask, 4000, 40)
    _, theirs = mean_gradients(net, plain, x, mask, 4000, 40)
    guide = torch.cat([torch.full((p.numel(),), name.startswith("guide")) for name, p in net.named_parameters()]).bool()
    assert ours[guide].mean() < 0.5 * theirs[guide].mean()


def test_its_value_is_the_bound(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    eps = torch.randn(K, *mask.shape, Z)
    objective = Iwae(net, K)
    with noise(eps):
        loss = objective(x, mask)
        with torch.no_grad():
            bound = iwae(net, x, mask, K).sum()
    assert loss.item() == pytest.approx(-bound.item(), rel=1e-12)
    assert objective.parts["bound"].item() == pytest.approx(bound.item(), rel=1e-12)
    difference = objective.parts["reconstruction"] - objective.parts["kl"]
    assert difference <= bound + 1e-9, "the mean of log-weights lies below the log of their mean"


def test_fivo_is_the_filters_evidence(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    objective = Fivo(net, K)
    torch.manual_seed(3)
    loss = objective(x, mask)
    torch.manual_seed(3)
    with torch.no_grad():
        expected = smc(net, x, mask, K).log_evidence.sum().item()
    assert loss.item() == pytest.approx(-expected)
    assert objective.parts["bound"].item() == pytest.approx(expected)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)
    assert any(p.grad.any() for p in net.guide.parameters())


def test_annealing_weighs_the_divergence_and_keeps_the_bound(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    weighted = Weighted(net, annealing=10)
    eps = torch.randn(*mask.shape, Z)
    for step, beta in ((0, 0.0), (3, 0.3), (10, 1.0), (11, 1.0)):
        weighted.at(step)
        with noise(eps):
            loss = weighted(x, mask)
            _, rollout = infer(net, x, mask, x.shape[:1])
        reconstruction, kl = rollout.log_emission.sum().item(), rollout.kl.sum().item()
        assert loss.item() == pytest.approx(beta * kl - reconstruction)
        parts = {name: part.item() for name, part in weighted.parts.items()}
        expected = {"objective": -loss.item(), "bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        assert parts == pytest.approx(expected)


def test_free_bits_floor_each_dimensions_mean_over_the_frames():
    net = small()
    x, mask = ragged()
    eps = torch.randn(*mask.shape, Z)
    with noise(eps):
        _, rollout = infer(net, x, mask, x.shape[:1])
    q, p = (type(d)(d.loc.unsqueeze(-1), d.scale.unsqueeze(-1)) for d in (rollout.q, rollout.p))
    means = kl_divergence(q, p)[mask].mean(0)
    between = means.mean().item()
    assert means.min() < between < means.max()
    for free_bits in (0.0, between, 2 * means.max().item()):
        filled = torch.where(mask.unsqueeze(-1), x, torch.full_like(x, 9.0))
        for frames in (x, filled):
            with noise(eps):
                loss = Weighted(net, free_bits=free_bits)(frames, mask)
            kl = mask.sum() * means.clamp(min=free_bits).sum()
            assert loss.item() == pytest.approx((kl - rollout.log_emission.sum()).item())


def test_a_divergence_below_the_floor_gets_no_gradient():
    net = small()
    x, mask = ragged()
    objective = Weighted(net, free_bits=1e6)
    objective(x, mask).backward()
    assert not any(p.grad is not None and p.grad.any() for p in net.prior.parameters())


def test_combinations_without_meaning_are_refused():
    def build(variant="vrnn-gauss", **options):
        return build_objective(small(variant), TrainingOptions(**options))

    assert isinstance(build(), Elbo)
    assert build(objective="iwae").particles == 5
    assert build(objective="fivo", particles=7).particles == 7
    assert isinstance(build(free_bits=0.1), Weighted)
    for options, message in (
        ({"particles": 3}, "the objective elbo has one; pass --objective iwae or fivo"),
        ({"objective": "iwae", "variant": "rnn-gauss"}, "the model has no latents"),
        ({"kl_annealing": 5, "variant": "rnn-gmm"}, "the model has no latents"),
        ({"objective": "fivo", "program": "markov"}, "leave out --program and --elbo"),
        ({"objective": "iwae", "elbo": "trace"}, "leave out --program and --elbo"),
        ({"objective": "iwae", "free_bits": 0.1}, "has no divergence to weight"),
        ({"checkpoint_every": 5, "program": "markov"}, "--checkpoint-every: not with --program markov"),
        ({"checkpoint_every": 5, "objective": "fivo"}, "--checkpoint-every: not with --objective fivo"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            build(**options)


@pytest.mark.slow
def test_tighter_bounds_do_not_lose_to_the_elbo_in_exact_evidence():
    """Paired over 5 seeds: a linear-Gaussian model is trained on data of another, and scored by its exact evidence."""
    differences = {"iwae": [], "fivo": []}
    for seed in range(5):
        torch.manual_seed(seed)
        truth = oracle(2, size=0.4)
        data, mask = drawn_from(truth, *[12] * 256)
        unseen, all_frames = drawn_from(truth, *[12] * 256)
        scores = {}
        for name, options in (("elbo", {}), ("iwae", {"particles": 8}), ("fivo", {"particles": 8})):
            torch.manual_seed(100 + seed)
            net = oracle(2, size=0.2, widen=1.0)
            objective = build_objective(net, TrainingOptions(objective=name, **options))
            optimiser = torch.optim.Adam(net.parameters(), lr=2e-2)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 600)
            for _ in range(600):
                rows = torch.randint(len(data), (64,))
                optimiser.zero_grad()
                (objective(data[rows], mask[rows]) / 64).backward()
                optimiser.step()
                schedule.step()
            scores[name] = evidence(net, unseen, all_frames).mean().item()
        for name, kept in differences.items():
            kept.append(scores[name] - scores["elbo"])
    for name, kept in differences.items():
        mean, error = mean_and_error(torch.tensor(kept))
        assert mean > -2 * error - 0.02, f"{name} loses {-mean:.3f} ± {error:.3f} nats a sequence"
