"""Segments scored given their past: slices of the recording's score, or what each draw of the past makes of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.inference import likelihood, pieces
from pyro_vrnn.inference.carried import by_segment, estimate_carried
from pyro_vrnn.inference.estimators import estimate, estimators_for
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.results import CARRIED, Kind, Scale
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model import draws
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.variants import VARIANTS
from tests.model.small import X, small

EVERY, K = 4, 3
#: Segments of three recordings: of 4, 4, 3; of 4; of 2.
SEGMENTS = [4, 4, 3, 4, 2]
STARTS = [0, 3, 4]
ALL = VARIANTS | {"z-forcing": replace(VARIANTS["vrnn-gauss"], guide="smoothing")}


def recordings() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([11, 4, 2])
    mask = torch.arange(11) < lengths.unsqueeze(-1)
    return torch.randn(3, 11, X).masked_fill(~mask.unsqueeze(-1), 0.0), mask


def segment_by_segment(net, x, mask, name, noise):
    """One segment after the other, each from what the one before left."""
    past, found = None, []
    for start in range(0, x.shape[1], EVERY):
        own, valid = x[:, start : start + EVERY], mask[:, start : start + EVERY]
        if not net.has_latents:
            run = follow(net, own, valid, own[..., :0], past)
            found.append(run.log_emission.sum(-1))
        else:
            steps, shape = range(start, start + own.shape[1]), (K, 3) if name in ("iwae", "stepwise") else (3,)
            eps = noise.normal(range(K), steps, net.dims.z, x)
            z, run = draws.infer(net, own, valid, shape, eps=eps if len(shape) == 2 else eps[0], past=past)
            if name == "elbo":
                found.append((run.log_emission - run.kl).sum(-1))
            elif name == "elbo_sampled":
                found.append(run.log_weights(z).sum(-1))
            elif name == "iwae":
                found.append(run.log_weights(z).sum(-1).logsumexp(0) - math.log(K))
            else:
                found.append((run.log_weights(z).logsumexp(0) - math.log(K)).masked_fill(~valid, 0.0).sum(-1))
        past = run.left
    return torch.stack(found, -1)


@pytest.mark.parametrize("name", ALL)
def test_each_segment_goes_on_from_what_the_one_before_left(name):
    net, (x, mask) = small(ALL[name]), recordings()
    with torch.no_grad():
        for estimator in estimators_for(net):
            if estimator == "smc":
                continue
            noise = Noise(3, [0, 3, 4])
            found = by_segment(net, x, mask, estimator, EVERY, K, noise=noise)
            expected = segment_by_segment(net, x, mask, estimator, noise)
            assert_close(found, expected, rtol=1e-9, atol=1e-9, msg=lambda m, e=estimator: f"{e}: {m}")


@pytest.mark.parametrize("name", [name for name, row in VARIANTS.items() if row.guide != "smoothing"])
def test_over_a_recording_segments_sum_to_the_recording(name):
    net, (x, mask) = small(name), recordings()
    noise = Noise(3, [0, 3, 4])
    wholes = {
        "exact": lambda: likelihood.exact(net, x, mask),
        "elbo": lambda: likelihood.elbo(net, x, mask, noise=noise),
        "elbo_sampled": lambda: likelihood.elbo(net, x, mask, noise=noise, sampled=True),
        "stepwise": lambda: likelihood.stepwise(net, x, mask, K, noise=noise),
        "smc": lambda: smc(net, x, mask, K, noise=noise).log_evidence,
    }
    with torch.no_grad():
        for estimator in estimators_for(net):
            if estimator == "iwae":
                continue
            found = by_segment(net, x, mask, estimator, EVERY, K, noise=noise)
            assert_close(found.sum(-1), wholes[estimator](), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_a_recording_that_is_read_in_pieces_scores_the_same(name, monkeypatch):
    net, x = small(ALL[name]), torch.randn(1, 23, X)
    mask = torch.ones(1, 23, dtype=torch.bool)
    with torch.no_grad():
        for estimator in estimators_for(net):
            found = []
            for longest in (100, 10):
                monkeypatch.setattr(pieces, "LONGEST", longest)
                monkeypatch.setattr(pieces, "PIECE", 6)  # no multiple of a segment
                found.append(by_segment(net, x, mask, estimator, EVERY, K, noise=Noise(1, [0])))
            assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_results_come_by_segment_and_the_first_of_a_group_is_scored_as_by_itself():
    net, (x, mask) = small("vrnn-gauss"), recordings()
    parts = [x[0, :4], x[0, 4:8], x[0, 8:11], x[1, :4], x[2, :2]]

    def batches(rows):
        for index in rows:
            yield x[index : index + 1], mask[index : index + 1], torch.tensor([index])

    def alone():
        for index, part in enumerate(parts):
            yield part[None], torch.ones(1, len(part), dtype=torch.bool), torch.tensor([index])

    told = []
    for name in estimators_for(net):
        given = {"particles": K, "scale": Scale(X), "seed": 5, "repetitions": 2}
        where = {"starts": STARTS, "lengths": SEGMENTS, "every": EVERY, "carry": 4}
        found = estimate_carried(net, batches([1, 0, 2]), name, progress=told.append, **where, **given)
        reset = estimate(net, alone(), name, **given)
        assert found.name == f"{CARRIED}4/{reset.name}"
        assert found.frames.tolist() == reset.frames.tolist() == SEGMENTS
        assert_close(torch.from_numpy(found.nats[STARTS]), torch.from_numpy(reset.nats[STARTS]), rtol=1e-9, atol=1e-9)
        assert (np.abs(found.nats - reset.nats)[[1, 2]] > 1e-6).all()
        assert found.kind is (Kind.ESTIMATE if name == "iwae" else reset.kind)
    assert told[:3] == [1, 3, 1]


def test_a_network_is_left_as_it_was():
    net, (x, mask) = small("srnn"), recordings()
    guide = net.guide
    by_segment(net, x, mask, "elbo", EVERY, 1)
    assert net.guide is guide
