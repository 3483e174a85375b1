"""Frame by frame: the step that is trained, whatever the variant, the emission and the recurrence."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.generation import generate, prime, together
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.state import Past
from pyro_vrnn.model.stream import Stream
from pyro_vrnn.model.variants import OF_NO_PEN, PRIORS, VARIANTS
from tests.model.pen import small_pen
from tests.model.small import X, small

T = 6


def scored(net, x, z, past=None):
    mask = torch.ones(x.shape[:-1], dtype=torch.bool)
    rollout = follow(net, x, mask, z, past)
    prior = rollout.log_prior(z) if net.has_latents else torch.zeros(mask.shape)
    return prior, rollout.log_emission


def with_emission(emission):
    return small(replace(VARIANTS["vrnn-gauss"], emission=emission))


NETS = {
    **{f"{v}-{r}": (lambda v=v, r=r: small(v, r, 2)) for v in VARIANTS for r in ("lstm", "gru")},
    **{f"pen-{v}": (lambda v=v: small_pen(v)) for v in ("rnn-gmm", "vrnn-gauss", "vrnn-gmm", "srnn", "storn")},
    **{e: (lambda e=e: with_emission(e)) for e in OF_NO_PEN},
    **{f"prior-{p}": (lambda p=p: small(replace(VARIANTS["vrnn-gauss"], prior=p))) for p in PRIORS},
    "linear": lambda: small("vrnn-gauss", "linear"),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("temperatures", [(1.0, 1.0), (0.5, 0.7)])
def test_what_is_accumulated_is_the_score_of_what_was_drawn(name, temperatures):
    net = NETS[name]()
    z_, x_ = temperatures
    with torch.no_grad():
        made = together(generate(net, T, 3, temperature_z=z_, temperature_x=x_))
        prior, emission = scored(net, made.x, made.z)
    assert made.x.shape == made.mean.shape == (3, T, net.dims.x)
    assert_close(made.log_prior, prior, rtol=1e-8, atol=1e-8)
    assert_close(made.log_emission, emission, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("batch_shape", [(), (3,), (2, 3)])
def test_frames_that_are_fed_are_read_as_a_sequence_is(batch_shape, variant):
    net, past = small(variant), None
    with torch.no_grad():
        x = torch.randn(*batch_shape, T, X)
        stream = Stream(net, batch_shape)
        fed = [stream.feed(x_t) for x_t in x.unbind(-2)]
        z = torch.stack([frame.z for frame in fed], -2)
        prior, emission = scored(net, x, z, past)
        assert_close(torch.stack([frame.log_prior for frame in fed], -1), prior)
        assert_close(torch.stack([frame.log_emission for frame in fed], -1), emission)
        # What comes then goes on from there.
        drawn = [next(stream) for _ in range(3)]
        both = (
            torch.cat([a, torch.stack(b, -2)], -2) for a, b in ((x, [f.x for f in drawn]), (z, [f.z for f in drawn]))
        )
        _, emission = scored(net, *both)
    assert_close(torch.stack([frame.log_emission for frame in drawn], -1), emission[..., T:])


@pytest.mark.parametrize("name", [v for v, row in VARIANTS.items() if row.guide])
def test_the_latents_of_frames_that_are_fed_are_the_guides(name):
    net = small(name)
    if net.guide.reads_future:
        pytest.skip("it would see the end at each frame")
    x = torch.randn(2, T, X)
    with torch.no_grad():
        stream = Stream(net, (2,))
        drawn = [next(stream) for _ in range(3)]
        before = stream.past
        torch.manual_seed(1)
        fed = [stream.feed(x_t).z for x_t in x.unbind(-2)]
        whole = torch.cat([torch.stack([frame.x for frame in drawn], 1), x], 1)
        # The guide's density of the same latents, given that it has read the generated frames, too.
        z = torch.cat([torch.stack([frame.z for frame in drawn], 1), torch.stack(fed, 1)], 1)
        rollout = follow(net, whole, torch.ones(2, T + 3, dtype=torch.bool), z)
        torch.manual_seed(1)
        again, _ = infer(net, x, torch.ones(2, T, dtype=torch.bool), (2,), past=before, eps=torch.zeros(2, T, 2))
        ends = rollout.q.mean[:, 3]
    assert_close(again[:, 0], ends)


def test_a_state_can_be_gone_on_from(variant):
    net = small(variant)
    with torch.no_grad():
        past = prime(net, torch.randn(1, T, X))
        made = together(generate(net, T, 3, past=past))
        prior, emission = scored(net, made.x, made.z, Past(past.state.expand((3,))))
    assert_close(made.log_emission, emission)
    assert_close(made.log_prior, prior)


def test_mistakes():
    net = small()
    for name in ("temperature_z", "temperature_x"):
        for value in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ConfigurationError, match=name):
                Stream(net, (2,), **{name: value})
    with pytest.raises(ConfigurationError, match="expected"):
        Stream(net, (2,)).feed(torch.randn(2, X + 1))
