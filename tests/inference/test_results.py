"""Units and marks."""

import math

import numpy as np
import pytest

from pyro_vrnn.inference.results import Estimate, Kind, Scale

NATS, FRAMES = np.array([-30.0, -10.0, -20.0]), np.array([4, 1, 3])


def estimate(std_lsb: float | None = 1000.0, **changes: object) -> Estimate:
    values = {"name": "iwae_40", "kind": Kind.CONSISTENT, "nats": NATS, "frames": FRAMES, "note": "kl=sampled"}
    return Estimate(**(values | {"scale": Scale(5, std_lsb)} | changes))


def test_every_unit_by_hand():
    result = estimate()
    assert result.per_sequence == pytest.approx(-20)
    assert result.per_frame == pytest.approx(-60 / 8)
    assert result.per_dimension == pytest.approx(-60 / 40)
    assert result.standard_error == pytest.approx(10 / math.sqrt(3))


def test_bits_are_of_the_sources_integer_grid():
    """bits = -(log p - N log std) / (N ln 2), N = 8 frames of 5 values."""
    N = 40
    assert estimate().bits_per_sample == pytest.approx(-(-60 - N * math.log(1000)) / (N * math.log(2)))


def test_a_gaussian_of_known_width_costs_its_entropy_in_bits():
    """Samples of standard deviation 2^10 steps, scored by N(0, 1) once standardised: log2(std sqrt(2 pi e)) bits."""
    x = np.random.default_rng(0).standard_normal((200, 50, 5))
    nats = (-0.5 * x**2 - 0.5 * math.log(2 * math.pi)).sum((1, 2))
    bits = Estimate("exact", Kind.EXACT, nats, np.full(200, 50), Scale(5, 2.0**10)).bits_per_sample
    assert bits == pytest.approx(10 + 0.5 * math.log2(2 * math.pi * math.e), abs=0.02)


def test_better_likelihood_is_fewer_bits():
    assert estimate(nats=NATS + 1).bits_per_sample < estimate().bits_per_sample


def test_float_sources_have_no_bits():
    assert estimate(None).bits_per_sample is None
    assert "iwae_40_bits_per_sample" not in estimate(None).metrics()


def test_metrics_are_flat_and_finite():
    result = estimate()
    assert result.metrics() == {
        "iwae_40": result.per_sequence,
        "iwae_40_per_frame": result.per_frame,
        "iwae_40_per_dimension": result.per_dimension,
        "iwae_40_bits_per_sample": result.bits_per_sample,
        "iwae_40_standard_error": result.standard_error,
    }
    single = estimate(nats=NATS[:1], frames=FRAMES[:1])
    assert math.isnan(single.standard_error)
    assert "iwae_40_standard_error" not in single.metrics()


def test_every_kind_has_its_mark():
    marks = {"EXACT": "=", "BOUND": "≥", "CONSISTENT": "≈", "ESTIMATE": "~", "OBJECTIVE": ""}
    assert {kind.name: kind.value for kind in Kind} == marks


@pytest.mark.parametrize("kind", Kind)
def test_a_results_file_says_everything(kind):
    told = estimate(kind=kind).as_dict()
    assert (told["kind"], told["mark"], told["note"]) == (kind.name.lower(), kind.value, "kl=sampled")
    assert (told["sequences"], told["frames"]) == (3, 8)
    assert told["nats_per_sequence"] == pytest.approx(-20)
    assert estimate(nats=NATS[:1], frames=FRAMES[:1]).as_dict()["standard_error_over_sequences"] is None
