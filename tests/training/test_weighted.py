"""Z-forcing's cost: what it adds, who gets a gradient of it, and that it is never a bound."""

import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.model.segments import infer
from pyro_vrnn.model.variants import ModelOptions, build
from pyro_vrnn.model.zforcing import foreseen
from pyro_vrnn.training.config import TrainingOptions, read
from pyro_vrnn.training.objective import Elbo, build_objective, check_objective
from pyro_vrnn.training.saving import load_model, save_model
from pyro_vrnn.training.weighted import Weighted
from tests.model.small import ragged

WIDTHS = {f"{name}_width": 6 for name in ("phi_x", "phi_z", "guide", "prior", "emission")}


def model(**options):
    torch.manual_seed(0)
    return build(ModelOptions(**{"variant": "zforcing", "h": 5, "z": 2, "depth": 1, **WIDTHS, **options}), 3)


def batch():
    torch.manual_seed(1)
    x, mask = ragged()
    return x.to(torch.get_default_dtype()), mask


@pytest.mark.parametrize("guide", ["smoothing", "flow", "residual"])
@pytest.mark.parametrize("variant", ["zforcing", "srnn"])
def test_the_cost_is_the_weighted_log_density_of_the_backward_states(variant, guide):
    given = {} if guide == "smoothing" else {"guide_base": "smoothing"}
    net = model(variant=variant, guide=guide, auxiliary=0.3, **given)
    x, mask = batch()
    objective = build_objective(net, TrainingOptions())
    assert isinstance(objective, Weighted)
    assert objective.kind is Kind.OBJECTIVE
    torch.manual_seed(2)
    loss = objective(x, mask)
    torch.manual_seed(2)
    z, rollout = infer(net, x, mask, (4,))
    bound = rollout.log_emission.sum() - rollout.kl_or_sampled(z).sum()
    b = foreseen(net, x, mask)
    cost = torch.stack([net.auxiliary(z[i, :n], b[i, :n]).sum() for i, n in enumerate(mask.sum(-1).tolist())]).sum()
    assert_close(-loss, bound + 0.3 * cost)
    assert_close(objective.parts["bound"], bound.detach())
    assert_close(objective.parts["auxiliary"], cost.detach())
    assert_close(objective.parts["objective"], -loss.detach())


def test_the_target_is_what_the_backward_recurrence_read_from_t_on():
    net = model()
    x, mask = batch()
    before = foreseen(net, x, mask)
    changed = x.clone()
    changed[0, 3] += 1
    moved = ~foreseen(net, changed, mask).isclose(before).all(-1)
    assert moved[0].tolist() == [True] * 4 + [False] * 3
    assert not moved[1:].any()
    assert not before.requires_grad


def test_padding_adds_nothing():
    net = model()
    x, mask = batch()
    objective = build_objective(net, TrainingOptions())
    found = []
    for filling in (0.0, 9.0):
        torch.manual_seed(2)
        found.append(objective(x.masked_fill(~mask.unsqueeze(-1), filling), mask).detach())
    assert_close(*found)


def test_z_learns_to_foresee_and_every_parameter_gets_a_gradient():
    net = model(auxiliary=1.0)
    x, mask = batch()
    objective = build_objective(net, TrainingOptions())
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    predicted = []
    for _ in range(60):
        optimiser.zero_grad()
        objective(x, mask).backward()
        assert all(p.grad is not None for p in net.parameters())
        optimiser.step()
        predicted.append(objective.parts["auxiliary"].item())
    assert predicted[-1] > predicted[0] + 10


def test_without_its_weight_it_is_the_plain_bound():
    net = model(auxiliary=0.0)
    assert net.auxiliary is None
    assert isinstance(build_objective(net, TrainingOptions()), Elbo)


@pytest.mark.parametrize("options", [{"kl_annealing": 4}, {"free_bits": 0.1}, {"checkpoint_every": 2}])
def test_it_goes_with_a_weighted_divergence_and_with_checkpoints(options):
    net = model()
    x, mask = batch()
    objective = build_objective(net, TrainingOptions(**options))
    objective.at(1)
    objective(x, mask).backward()
    assert objective.parts["auxiliary"].isfinite()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "iwae"}, "--objective iwae: .* pass --set model.auxiliary=0"),
        ({"objective": "fivo"}, "--objective fivo: .* pass --set model.auxiliary=0"),
        ({"program": "markov"}, "Z-forcing's cost .model.auxiliary.: not a Pyro ELBO"),
        ({"elbo": "trace"}, "Z-forcing's cost .model.auxiliary.: not a Pyro ELBO"),
    ],
)
def test_other_objectives_refuse_it(options, message):
    with pytest.raises(ConfigurationError, match=message):
        check_objective(TrainingOptions(**options), latents=True, auxiliary=0.1)


def test_a_guide_without_foresight_is_refused():
    with pytest.raises(ConfigurationError, match=r"guide filtering keeps no backward state .* model.auxiliary=0"):
        model(guide="filtering")
    with pytest.raises(ConfigurationError, match="has no latents"):
        check_objective(TrainingOptions(), latents=False, auxiliary=0.1)


def test_it_is_stored_and_loaded_with_the_model(tmp_path):
    config = read(None, {"model": {"variant": "zforcing", "h": 5, "z": 2, "depth": 1, **WIDTHS}}).explicit(3)
    assert config.model.auxiliary == 0.005
    net = build(config.model, 3)
    save_model(tmp_path, net, config, {"frame": 3})
    loaded = load_model(tmp_path)
    assert loaded.config == config
    for name, parameter in net.named_parameters():
        assert_close(dict(loaded.net.named_parameters())[name], parameter)


def test_another_part_does_not_inherit_the_stored_ones_arguments(tmp_path):
    stored = read(None, {"model": {"guide": "flow", "guide_steps": 3, "emission": "gmm"}}).explicit(3)
    (tmp_path / "config.toml").write_text(stored.toml())
    again = read(tmp_path / "config.toml", {"model": {"guide": "filtering"}}).explicit(3)
    assert (again.model.guide_steps, again.model.emission_components) == (None, 20)
    assert read(tmp_path / "config.toml", {"model": {"guide": "flow"}}).model.guide_steps == 3
