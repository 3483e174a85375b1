"""Training: by Pyro's own loop, which knows parameters by name, and by a torch optimiser, which does not."""

import copy
import pickle

import pyro
import pytest
import torch
from pyro.infer import SVI, RenyiELBO, Trace_ELBO, TraceMeanField_ELBO
from pyro.optim import Adam

from pyro_vrnn.model import sequence
from pyro_vrnn.model.network import VRNN
from tests.model.small import PROGRAMS, ragged, small

BOUNDS = {
    "trace": lambda: Trace_ELBO(),
    "mean-field": lambda: TraceMeanField_ELBO(),
    "renyi": lambda: RenyiELBO(alpha=0, num_particles=3, vectorize_particles=True, max_plate_nesting=1),
}


def parameters(net: VRNN) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in net.named_parameters()}


def still(net: VRNN, before: dict[str, torch.Tensor]) -> list[str]:
    """Names of parameters that did not move."""
    return [name for name, p in net.named_parameters() if torch.equal(p, before[name])]


def train(program: str, net: VRNN, elbo=None) -> None:
    module = PROGRAMS[program]
    svi = SVI(module.Model(net), module.Guide(net), Adam({"lr": 0.01}), elbo or TraceMeanField_ELBO())
    for _ in range(2):
        svi.step(*ragged())


@pytest.mark.parametrize("elbo", BOUNDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_svi_moves_every_parameter(program, variant, elbo):
    net = small(variant)
    before = parameters(net)
    train(program, net, BOUNDS[elbo]())
    assert not still(net, before)
    assert len(pyro.get_param_store()) == len(before)


@pytest.mark.parametrize("program", PROGRAMS)
def test_svi_lowers_the_loss(program, latent_variant):
    net, module, batch = small(latent_variant), PROGRAMS[program], ragged()
    svi = SVI(module.Model(net), module.Guide(net), Adam({"lr": 0.02}), TraceMeanField_ELBO())
    first, *_, last = [svi.step(*batch) for _ in range(15)]
    assert last < 0.8 * first


@pytest.mark.parametrize("program", PROGRAMS)
def test_two_networks_do_not_answer_for_each_other(program):
    first = small()
    train(program, first)
    trained = parameters(first)
    second = small()
    before = parameters(second)
    PROGRAMS[program].Model(second)(*ragged())
    assert still(second, before) == list(before), "the store must not hand the first network's weights to the second"
    train(program, second)
    assert not still(second, before)
    assert still(first, trained) == list(trained)


@pytest.mark.parametrize("programs_too", [False, True])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copy_is_a_network_of_its_own(duplicate, programs_too):
    net = small()
    model, guide = sequence.Model(net), sequence.Guide(net)
    if programs_too:
        model, guide = duplicate((model, guide))
    else:
        copied = duplicate(net)
        model, guide = sequence.Model(copied), sequence.Guide(copied)
    assert model.net is guide.net
    train("sequence", net)
    trained, before = parameters(net), parameters(model.net)
    SVI(model, guide, Adam({"lr": 0.01}), TraceMeanField_ELBO()).step(*ragged())
    assert not still(model.net, before)
    assert still(net, trained) == list(trained)


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_the_store_a_torch_optimiser_trains(program, variant):
    net, module = small(variant), PROGRAMS[program]
    before = parameters(net)
    loss = TraceMeanField_ELBO()(module.Model(net, store=False), module.Guide(net, store=False))
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        loss(*ragged()).backward()
        optimizer.step()
    assert not still(net, before)
    assert len(pyro.get_param_store()) == 0
