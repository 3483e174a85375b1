import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO

from pyro_vrnn.data import batches
from pyro_vrnn.model import sequence
from pyro_vrnn.model.variants import VARIANTS
from pyro_vrnn.training.ahead import Ready
from pyro_vrnn.training.config import TrainingOptions
from pyro_vrnn.training.device import Precision
from pyro_vrnn.training.objective import PROGRAMS, Elbo, build_objective
from pyro_vrnn.training.step import MaskedAdam, Step

from .conftest import network, sequences, trainer, weights
from .waiting import counted

ELBOS = [{"program": program, "elbo": elbo} for program in ("sequence", "markov") for elbo in ("mean-field", "trace")]
OTHERS = [
    {"objective": "iwae"},
    {"objective": "fivo"},
    {"kl_annealing": 10},
    {"free_bits": 1e-5},
]
CASES = [
    pytest.param(name, options, id="-".join([name, *map(str, options.values())]))
    for name, row in VARIANTS.items()
    for options in [*ELBOS, *(OTHERS if row.prior else [])]
]
BOUNDS = [
    (program, kind, reference)
    for program in PROGRAMS
    for kind, reference in (("mean-field", TraceMeanField_ELBO), ("trace", Trace_ELBO))
]


def a_step(variant, options, device="cpu"):
    """A step on a batch with padding."""
    net = network(variant).to(device)
    batch = next(iter(batches(sequences(4, 3), 4)))
    assert not batch.mask.all()
    optimiser = MaskedAdam(net.parameters(), 1e-3)
    objective = build_objective(net, TrainingOptions(**options))
    ready = Ready(batch.x.to(device), batch.mask.to(device), int(batch.mask.sum()))
    return Step(objective, optimiser, 5.0, Precision("float32", torch.device("cpu"))), ready


@pytest.fixture(autouse=True)
def _without_validation():
    with pyro.validation_enabled(False):
        yield


@pytest.mark.parametrize(("variant", "options"), CASES)
def test_nothing_waits_before_the_optimiser_is_queued(variant, options):
    step, batch = a_step(variant, options)
    before = weights(step.objective)
    with counted() as waits:
        step(batch, 1e-3)
    assert waits == []
    assert any(not torch.equal(p, q) for p, q in zip(before, weights(step.objective), strict=True))


@pytest.mark.parametrize(
    ("variant", "options"), [case for case in CASES if "markov" not in case.id or case.values[0] in ("rnn-gmm", "srnn")]
)
def test_a_step_runs_where_numbers_cannot_be_read_at_all(variant, options):
    step, batch = a_step(variant, options, "meta")
    step.optimiser.step = lambda: None  # torch's own, which does not know this device
    with counted() as waits:
        numbers = step(batch, 1e-3)
    assert waits == []
    assert numbers.loss.device.type == "meta"


@pytest.mark.parametrize(("variant", "options"), CASES)
def test_one_transfer_reads_a_step(variant, options, tmp_path):
    training = trainer(tmp_path, network(variant), **options)
    _, batch = a_step(variant, options)
    with counted() as waits:
        training._step(batch)
    assert waits == ["tolist"]
    assert len(training.watcher.steps) == 1


def test_what_waits_is_counted():
    a = torch.ones(3)
    with counted() as waits:
        bool(a.sum() > 0), float(a.sum()), a[0].item(), a.tolist(), a.numpy(), torch.equal(a, a.clone())
        a[a > 0], torch.empty(3, device="meta").copy_(a), a.to("meta")
    assert waits == ["__bool__", "__float__", "item", "tolist", "numpy", "equal", "index", "copy_", "_to_copy"]
    loss = TraceMeanField_ELBO()
    net = network()
    with counted() as waits:
        loss.differentiable_loss(sequence.Model(net), sequence.Guide(net), *a_step("vrnn-gauss", {})[1][:2])
    assert "item" in waits


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("variant", "options"), CASES)
def test_cuda_is_not_waited_for_before_the_optimiser_is_queued(variant, options):
    step, batch = a_step(variant, options, "cuda")
    step(batch, 1e-3)  # what is made once: handles, workspaces, the optimiser's state
    try:
        torch.cuda.set_sync_debug_mode("error")
        step(batch, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("program", "kind", "reference"), BOUNDS)
def test_the_bound_is_that_of_pyro(latent_variant, program, kind, reference):
    torch.set_default_dtype(torch.float64)
    net = network(latent_variant)
    x, mask, *_ = a_step(latent_variant, {})[1]
    found = []
    for loss in (
        Elbo(net, program, kind),
        reference()(*(part(net, store=False) for part in (PROGRAMS[program].Model, PROGRAMS[program].Guide))),
    ):
        torch.manual_seed(5)
        net.zero_grad()
        value = loss(x.double(), mask)
        value.backward()
        found.append([value.detach(), *(p.grad for p in net.parameters())])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
