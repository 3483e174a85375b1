"""How large the models are: the released widths, and widths matched to RNN-Gauss."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import PRESETS, Widths, dnn_parameters, matched, parameters_per_part
from pyro_vrnn.model.variants import ALIASES, VARIANTS, ModelOptions, build, resolve

FRAME = {name: 3 if name == "iam-ondb" else 200 for name in PRESETS}
RELEASED = [name for name in PRESETS if name != "listening"]
# Solving takes about a second a case; these presets differ most from each other.
QUICK = ["small", "iam-ondb"]


def model(x: int = 200, **options: object) -> VRNN:
    """A model that takes no memory."""
    with torch.device("meta"):
        return build(ModelOptions(**options), x)


def dnn(variant: str, preset: str, **options: object) -> int:
    return dnn_parameters(model(FRAME[preset], variant=variant, preset=preset, **options))


@pytest.mark.parametrize(
    ("preset", "variant", "ratio"),
    [
        ("timit", "rnn-gmm", 1.56),
        ("timit", "vrnn-gauss", 1.55),
        ("timit", "vrnn-i", 1.16),
        ("timit", "vrnn-gmm", 2.04),
        ("blizzard", "rnn-gmm", 1.53),
        ("blizzard", "vrnn-gauss", 1.63),
        ("blizzard", "vrnn-i", 1.24),
        ("blizzard", "vrnn-gmm", 1.98),
    ],
)
def test_released_widths_have_the_released_ratios_to_rnn_gauss(preset, variant, ratio):
    assert dnn(variant, preset) / dnn("rnn-gauss", preset) == pytest.approx(ratio, abs=0.005)


def affine(*widths: int) -> int:
    return sum((narrow + 1) * wide for narrow, wide in pairwise(widths))


def test_released_counts_by_hand():
    """2000 units, z = 200, frames of 200: every net has 4 hidden layers."""
    h = 2000
    assert dnn("rnn-gauss", "timit") == affine(200, *[600] * 4) + affine(h, *[600] * 4, 400)
    phi = affine(200, *[400] * 4)
    enc, prior, dec = affine(400 + h, *[400] * 4, 400), affine(h, *[400] * 4, 400), affine(400 + h, *[400] * 4, 400)
    assert dnn("vrnn-gauss", "timit") == 2 * phi + enc + prior + dec
    assert dnn("vrnn-i", "timit") == 2 * phi + enc + dec
    mixture = 20 * (2 * 200 + 1)
    assert dnn("rnn-gmm", "timit") == affine(200, *[450] * 4) + affine(h, *[450] * 4, mixture)


def test_the_recurrence_by_hand():
    counts = parameters_per_part(model(variant="vrnn-gauss", preset="timit"))
    assert counts["recurrence"] == 4 * 2000 * (400 + 400 + 2000 + 1)
    assert parameters_per_part(model(variant="srnn", preset="timit", phi_x_width=400))["recurrence"] == 4 * 2000 * 2401
    gru = parameters_per_part(model(variant="rnn-gauss", recurrence="gru", preset="timit"))
    assert gru["recurrence"] == 3 * 2000 * (600 + 2000 + 2)


@pytest.mark.parametrize(("variant", "count"), [("rnn-gauss", 537_488), ("vrnn-gauss", 858_000)])
def test_the_default_is_small(variant, count):
    assert sum(p.numel() for p in model(variant=variant).parameters()) == count


@pytest.mark.parametrize("preset", RELEASED)
def test_every_preset_builds_every_variant_and_its_parts_sum_up(preset, variant):
    net = model(FRAME[preset], variant=variant, preset=preset)
    counts = parameters_per_part(net)
    assert sum(counts.values()) == sum(p.numel() for p in net.parameters())
    assert dnn_parameters(net) == sum(counts.values()) - counts["recurrence"] - counts.pop("auxiliary", 0)
    parts = {"phi_x", "emission", "recurrence"}
    if net.has_latents:
        parts |= {"phi_z", "guide"} | ({"prior"} if VARIANTS[variant].prior != "standard" else set())
    assert set(counts) == parts


@pytest.mark.parametrize(
    "preset", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in PRESETS if name not in QUICK)]
)
def test_matched_widths_have_rnn_gausss_count(preset, variant):
    target = dnn("rnn-gauss", preset)
    assert dnn(variant, preset, widths="matched") == pytest.approx(target, rel=0.01)


@pytest.mark.parametrize("recurrence", ["lstm", "gru"])
def test_listening_is_three_layers_of_3000_matched(recurrence):
    net = model(variant="vrnn-gauss", preset="listening", recurrence=recurrence)
    assert (net.recurrence.layers, net.dims.h, net.dims.z) == (3, 3000, 200)
    assert dnn_parameters(net) == pytest.approx(dnn("rnn-gauss", "listening"), rel=0.01)


def test_matched_refuses_what_it_cannot_meet():
    with pytest.raises(ConfigurationError, match=r"closest widths have \d+ parameters for 3; use a larger preset"):
        matched(Widths(phi_x=4, emission=4), lambda w: 100 * w.phi_x + 100 * w.emission, 3)


@pytest.mark.parametrize("preset", ["blizzard", "timit", "iam-ondb"])
def test_presets_are_the_papers(preset):
    h, layers, z, depth, batch_of_widths = {
        "blizzard": (4000, 1, 200, 4, (600, 500, 500, 500, 600)),
        "timit": (2000, 1, 200, 4, (400, 400, 400, 400, 400)),
        "iam-ondb": (1200, 1, 50, 1, (250, 150, 150, 150, 250)),
    }[preset]
    size = resolve(ModelOptions(variant="vrnn-gauss", preset=preset), FRAME[preset])
    widths = size.widths
    assert (size.h, size.layers, size.z, size.depth) == (h, layers, z, depth)
    assert (widths.phi_x, widths.phi_z, widths.guide, widths.prior, widths.emission) == batch_of_widths


def test_every_size_can_be_given():
    given = {"h": 7, "layers": 2, "z": 3, "depth": 1}
    widths = {"phi_x_width": 4, "phi_z_width": 5, "guide_width": 6, "prior_width": 8, "emission_width": 9}
    size = resolve(ModelOptions(**given, **widths), 3)
    assert (size.h, size.layers, size.z, size.depth) == (7, 2, 3, 1)
    assert size.widths == Widths(phi_x=4, phi_z=5, guide=6, prior=8, emission=9)


def test_parts_can_be_replaced():
    replaced = model(variant="vrnn-gauss", prior="transition", guide="smoothing", emission="gmm", recurrence="gru")
    names = [
        type(part).__name__ for part in (replaced.prior, replaced.guide, replaced.emission.head, replaced.recurrence)
    ]
    assert names == ["TransitionPrior", "SmoothingGuide", "GaussianMixture", "GRU"]


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_its_variant(alias):
    def counts(name: str) -> dict[str, int]:
        return parameters_per_part(model(variant=name))

    assert counts(alias) == counts(ALIASES[alias])
    assert ALIASES == {"vrnn": "vrnn-gauss", "vrnn-i-gauss": "vrnn-i"}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"variant": "vrmm"}, ["vrmm", *VARIANTS, *ALIASES]),
        ({"preset": "tiny"}, ["tiny", *PRESETS]),
        ({"prior": "flat"}, ["flat", "standard", "conditional", "transition"]),
        ({"guide": "oracle"}, ["oracle", "filtering", "independent", "smoothing"]),
        ({"emission": "cauchy"}, ["cauchy", "gaussian", "gmm", "laplace", "student-t", "bernoulli", "dmol"]),
        ({"recurrence": "rnn"}, ["recurrence rnn", "lstm", "gru", "linear"]),
        ({"variant": "rnn-gauss", "prior": "standard"}, ["prior standard", "rnn-gauss has no latents", "vrnn-gauss"]),
        ({"variant": "rnn-gmm", "guide": "filtering"}, ["guide filtering", "rnn-gmm has no latents", "vrnn-gauss"]),
    ],
)
def test_a_mistake_is_named_with_the_choices(options, names):
    with pytest.raises(ConfigurationError) as raised:
        build(ModelOptions(**options), 3)
    assert all(name in str(raised.value) for name in names), raised.value
    assert "\n" not in str(raised.value)


def test_the_count_leaves_the_recurrence_out_only():
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.prior, self.recurrence, self.nothing = nn.Linear(3, 2), nn.Linear(5, 5), nn.ReLU()

    assert parameters_per_part(Parts()) == {"prior": 8, "recurrence": 30}
    assert dnn_parameters(Parts()) == 8
