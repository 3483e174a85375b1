"""Every row of the table on strokes of a pen: programs, draws, names and sizes."""

from itertools import product

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.programs import log_weights
from pyro_vrnn.model.draws import generate, infer
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.sizes import PRESETS, Widths, dnn_parameters
from pyro_vrnn.model.strokes import PenStroke
from pyro_vrnn.model.suiting import suited
from pyro_vrnn.model.variants import EMISSIONS, VARIANTS, ModelOptions, build, resolve, row
from pyro_vrnn.training.config import read
from pyro_vrnn.training.objective import Elbo, Fivo, Iwae, Weighted
from tests.model.pen import ragged_points, small_pen
from tests.model.small import PROGRAMS, noise


def test_both_programs_agree_on_loss_and_every_gradient(variant):
    net = small_pen(variant)
    x, mask = ragged_points()
    for elbo, K in product((Trace_ELBO, TraceMeanField_ELBO), (1, 3)):
        eps = torch.randn(*([K] if K > 1 else []), *mask.shape, net.dims.z)
        bound = elbo(num_particles=K, vectorize_particles=K > 1, max_plate_nesting=1)
        found = []
        for program in PROGRAMS.values():
            net.zero_grad()
            with noise(eps):
                loss = bound.differentiable_loss(program.Model(net), program.Guide(net), x, mask)
            loss.backward()
            found.append([loss.detach(), *(p.grad.clone() for p in net.parameters())])
        assert all(gradient.any() for gradient in found[0])
        assert_close(found[0], found[1], rtol=1e-9, atol=1e-10)


def test_log_weights_agree(latent_variant):
    net = small_pen(latent_variant)
    x, mask = ragged_points()
    with noise(torch.randn(3, *mask.shape, net.dims.z)), torch.no_grad():
        markov, sequence = (log_weights(p.Model(net), p.Guide(net), x, mask, 3) for p in PROGRAMS.values())
    assert_close(sequence, markov, rtol=1e-12, atol=0)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_drawn_are_points_and_scoring_them_gives_their_density(variant, program):
    net = small_pen(variant)
    mask = torch.ones(5, 6, dtype=torch.bool)
    x, z, drawn = generate(net, mask, (5,))
    assert x.shape == (5, 6, 3)
    assert set(x[..., 2].unique().tolist()) <= {0.0, 1.0}
    assert_close(follow(net, x, mask, z).log_emission, drawn.emission.log_prob(x))
    trace = poutine.trace(PROGRAMS[program].Model(net)).get_trace(mask=mask)
    assert torch.isfinite(trace.log_prob_sum())


def test_one_step_ahead_draws_are_points():
    net = small_pen("vrnn-gmm")
    x, mask = ragged_points()
    predicted = poutine.uncondition(PROGRAMS["markov"].Model(net))
    drawn = torch.stack(
        [site["value"] for name, site in poutine.trace(predicted).get_trace(x, mask).nodes.items() if name[:2] == "x_"]
    )
    assert set(drawn[..., 2].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "objective",
    [Elbo, lambda net: Iwae(net, 3), lambda net: Fivo(net, 3), lambda net: Weighted(net, free_bits=0.1)],
    ids=["elbo", "iwae", "fivo", "free-bits"],
)
def test_every_objective_trains_it(objective):
    net = small_pen("vrnn-gmm")
    x, mask = ragged_points()
    with pyro.validation_enabled(False):
        objective(net)(x, mask).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize("variant", ["vrnn-gmm", "rnn-gmm", "srnn"])
def test_segments_that_are_run_again_change_nothing(variant):
    net = small_pen(variant)
    x, mask = ragged_points()
    found = []
    with pyro.validation_enabled(False):
        for every in (0, 2):
            torch.manual_seed(1)
            net.checkpoint_every = every
            loss = Elbo(net)(x, mask)
            found.append([loss.detach(), *torch.autograd.grad(loss, list(net.parameters()))])
    assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_the_pens_share_of_the_emission_is_its_own_bernoulli():
    net = small_pen("vrnn-gmm")
    x, mask = ragged_points()
    with torch.no_grad():
        _, rollout = infer(net, x, mask, mask.shape[:1])
    flipped = torch.cat([x[..., :2], 1 - x[..., 2:]], -1)
    other = rollout.emission.log_prob(flipped) - rollout.emission.log_mass(flipped)
    assert_close((rollout.log_emission - rollout.log_mass)[mask], other[mask])
    assert (rollout.log_mass[~mask] == 0).all()


@pytest.mark.parametrize(("name", "components"), [("pen", 20), ("pen-gauss", 1)])
def test_emissions_by_name(name, components):
    head = build(ModelOptions(emission=name), 3).emission.head
    assert isinstance(head, PenStroke)
    assert head.components == components


def test_on_strokes_the_variants_emission_is_the_pens(variant):
    on_sound, on_strokes = (suited(ModelOptions(variant=variant), kind) for kind in ("audio", "pen"))
    assert row(on_sound).emission == VARIANTS[variant].emission
    assert row(on_strokes).emission == {"gaussian": "pen-gauss", "gmm": "pen"}[VARIANTS[variant].emission]
    assert suited(on_strokes, "pen") == on_strokes, "what is stored is what is taken again"
    assert suited(ModelOptions(variant=variant), "arrays") == on_sound


def test_the_stored_configuration_names_the_emission():
    config = read(None, {"model": {"variant": "rnn-gmm", "preset": "iam-ondb"}})
    assert config.explicit(3, "pen").model.emission == "pen"
    assert config.explicit(3).model.emission == "gmm"
    assert config.explicit(3, "pen").explicit(3, "pen") == config.explicit(3, "pen")


@pytest.mark.parametrize(
    ("kind", "emission", "said"),
    [
        (
            "pen",
            "gaussian",
            "--emission gaussian: not for strokes of a pen, .*; leave it out, or choose pen-gauss",
        ),
        ("pen", "gmm", "choose pen"),
        ("pen", "laplace", "choose pen"),
        ("audio", "pen", "--emission pen: for strokes of a pen .*, and the data are audio; leave it out"),
        ("arrays", "pen-gauss", "the data are arrays; leave it out, or choose one of gaussian, gmm"),
    ],
)
def test_an_emission_of_other_data_is_refused(kind, emission, said):
    with pytest.raises(ConfigurationError, match=said) as raised:
        suited(ModelOptions(emission=emission), kind)
    assert "\n" not in str(raised.value)


def test_an_emission_of_the_users_own_is_theirs_to_choose(monkeypatch):
    monkeypatch.setitem(EMISSIONS, "own", EMISSIONS["pen"])
    for kind in ("audio", "pen"):
        assert suited(ModelOptions(emission="own"), kind).emission == "own"


@pytest.mark.parametrize(
    ("variant", "widths"),
    [
        ("rnn-gauss", Widths(340, 340)),
        ("rnn-gmm", Widths(300, 300)),
        ("vrnn-gauss", Widths(phi_x=250, phi_z=150, guide=150, prior=150, emission=250)),
        ("vrnn-i", Widths(phi_x=250, phi_z=150, guide=150, prior=150, emission=250)),
        ("vrnn-gmm", Widths(phi_x=250, phi_z=150, guide=150, prior=150, emission=250)),
    ],
)
def test_the_papers_handwriting(variant, widths):
    config = read(None, {"model": {"variant": variant, "preset": "iam-ondb"}}).explicit(3, "pen")
    size = resolve(config.model, 3)
    assert (size.h, size.layers, size.z, size.depth) == (1200, 1, 50, 1)
    assert size.widths == widths
    assert (config.training.batch_size, config.training.learning_rate) == (64, 3e-4)


def test_mixtures_over_points_have_nets_as_wide_as_gaussians():
    pairs = {"rnn-gmm": "rnn-gauss", "vrnn-gmm": "vrnn-gauss"}
    for mixture, gaussian in pairs.items():
        ours, theirs = (suited(ModelOptions(variant=name), "pen") for name in (mixture, gaussian))
        assert resolve(ours, 3).widths == resolve(theirs, 3).widths
        assert resolve(ModelOptions(variant=mixture), 200).widths != resolve(ModelOptions(variant=gaussian), 200).widths


def dnn(variant: str, preset: str, widths: str) -> int:
    options = ModelOptions(variant=variant, preset=preset, widths=widths)
    with torch.device("meta"):
        return dnn_parameters(build(suited(options, "pen"), 3))


@pytest.mark.parametrize(("preset", "variant"), [("small", "rnn-gmm"), ("iam-ondb", "vrnn-gmm"), ("iam-ondb", "srnn")])
def test_matched_widths_have_the_count_of_rnn_gauss_on_strokes(preset, variant):
    target = dnn("rnn-gauss", preset, "released")
    width = PRESETS[preset].columns["rnn-gauss"].phi_x
    h, depth = PRESETS[preset].h, PRESETS[preset].depth
    inner = (depth - 1) * (width + 1) * width
    assert target == (3 + 1) * width + inner + (h + 1) * width + inner + (width + 1) * 6
    assert dnn(variant, preset, "matched") == pytest.approx(target, rel=0.01)


def test_the_bias_of_every_sigma_is_0_6_and_of_all_else_0():
    for name, sigmas in (("pen", 40), ("pen-gauss", 2)):
        bias = build(ModelOptions(emission=name), 3).emission.net.last_bias
        assert bias[-sigmas:].eq(0.6).all()
        assert bias[:-sigmas].eq(0).all()
