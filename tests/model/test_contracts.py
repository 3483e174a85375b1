"""What every part promises: what it reads, free leading dimensions, dtypes, copies."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.testing import assert_close

from pyro_vrnn.model.guides import PriorGuide
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.state import Dims, State
from pyro_vrnn.model.variants import EMISSIONS, GUIDES, PRIORS, RECURRENCES, VARIANTS
from tests.model.small import H, X, Z, ragged, small

F, G = 4, 3
B, T = 4, 7
ALL_GUIDES = GUIDES | {"prior": lambda dims, hidden: PriorGuide()}
PARTS = [
    *(
        (kind, name)
        for kind, table in (("prior", PRIORS), ("guide", GUIDES), ("emission", EMISSIONS))
        for name in table
    ),
    *(("recurrence", name) for name in RECURRENCES),
]
READS = {"standard": set(), "conditional": {"h"}, "transition": {"h", "z"}}

every_part = pytest.mark.parametrize(("kind", "name"), PARTS)
every_guide = pytest.mark.parametrize("name", ALL_GUIDES)
with_and_without_z_in_h = pytest.mark.parametrize("h_reads_z", [True, False])


def part(kind: str, name: str, *, h_reads_z: bool = True) -> nn.Module:
    dims = Dims(x=X, z=Z, h=H, phi_x=F, phi_z=G, h_reads_z=h_reads_z)
    table = {"prior": PRIORS, "guide": ALL_GUIDES, "emission": EMISSIONS, "recurrence": RECURRENCES}[kind]
    made = table[name](dims) if kind == "recurrence" else table[name](dims, [24, 20])
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return made


def a_state(*batch: int, dtype: torch.dtype | None = None, memory: int = 0) -> State:
    h, z = torch.randn(*batch, H, dtype=dtype), torch.randn(*batch, Z, dtype=dtype)
    return State(h, z, tuple(torch.randn(*batch, H, dtype=dtype) for _ in range(memory)))


def numbers(out: object) -> list[Tensor]:
    """Everything a part's answer says, as tensors."""
    if isinstance(out, Tensor):
        return [out]
    if isinstance(out, tuple):
        return [number for item in out for number in numbers(item)]
    assert isinstance(out, Distribution)
    return [out.log_prob(torch.ones(out.batch_shape + out.event_shape, dtype=out.mean.dtype)), out.mean]


def answer(kind: str, made: nn.Module, *batch: int, dtype: torch.dtype | None = None) -> list[Tensor]:
    """One step of a part on inputs that depend on the seed alone."""
    torch.manual_seed(1)
    state = a_state(*batch, dtype=dtype, memory=getattr(made, "memory_size", 0))
    x, z = torch.randn(*batch, F, dtype=dtype), torch.randn(*batch, G, dtype=dtype)
    if kind == "prior":
        return numbers(made(state))
    if kind == "emission":
        return numbers(made(z, state))
    if kind == "recurrence":
        return numbers(made(made.prepare(x), z, state))
    mask = torch.ones(*batch[:-1], 1, dtype=torch.bool)
    prepared = made.prepare(x.unsqueeze(-2), mask)[0].squeeze(-2)
    return numbers(made(prepared, state, lambda: pytest.fail("declared not to read the prior")))


@every_part
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_follows(kind, name, dtype):
    made = part(kind, name).to(dtype)
    assert all(number.dtype == dtype for number in answer(kind, made, B, dtype=dtype))


@every_part
def test_a_state_dict_and_a_pickle_carry_everything(kind, name):
    made = part(kind, name)
    loaded = part(kind, name)
    loaded.load_state_dict(made.state_dict())
    for other in (loaded, pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert_close(answer(kind, other, B), answer(kind, made, B), rtol=0, atol=0)


@every_part
def test_leading_dimensions_are_free(kind, name):
    """Particles, sequences and steps are all just more of a batch: (2, 4, 3) at once equals one row after the other."""
    made = part(kind, name)
    batch = (2, 4, 3)
    state = a_state(*batch, memory=getattr(made, "memory_size", 0))
    x, z = torch.randn(*batch, F), torch.randn(*batch, G)

    def run(x: Tensor, z: Tensor, state: State) -> list[Tensor]:
        if kind == "guide":
            prepared = made.prepare(x.unsqueeze(-2), torch.ones(*x.shape[:-1], 1, dtype=torch.bool))[0].squeeze(-2)
            return numbers(made(prepared, state, lambda: None))
        calls = {"prior": (state,), "emission": (z, state)}
        return numbers(made(*calls[kind])) if kind in calls else numbers(made(made.prepare(x), z, state))

    whole = run(x, z, state)
    for i in torch.cartesian_prod(*map(torch.arange, batch)).tolist():
        index = tuple(i)
        row = State(state.h[index], state.z[index], tuple(m[index] for m in state.memory))
        for together, alone in zip(whole, run(x[index], z[index], row), strict=True):
            assert_close(together[index], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PRIORS)
def test_priors_read_what_they_say(name):
    prior, state = part("prior", name), a_state(B)
    before = prior(state).log_prob(state.z)
    changes = {
        "h": state._replace(h=state.h + 1),
        "z": state._replace(z=state.z + 1),
        "memory": state._replace(memory=(1,)),
    }
    moved = {field for field, changed in changes.items() if not prior(changed).log_prob(state.z).equal(before)}
    assert moved == READS[name]


@pytest.mark.parametrize("name", EMISSIONS)
def test_emissions_read_z_and_h_and_nothing_else(name):
    emission, state, z, x = part("emission", name), a_state(B), torch.randn(B, G), torch.randn(B, X)
    x[:, X - emission.binary :] = 1.0
    before = emission(z, state).log_prob(x)
    assert not emission(z + 1, state).log_prob(x).isclose(before).any()
    assert not emission(z, state._replace(h=state.h + 1)).log_prob(x).isclose(before).any()
    assert emission(z, state._replace(z=state.z + 1, memory=(1,))).log_prob(x).equal(before)


def prepared_by(guide: nn.Module, features_x: Tensor, mask: Tensor, h: Tensor, h_reads_z: bool) -> Tensor:
    return guide.prepare(features_x, mask, None if h_reads_z else h)[0]


@every_guide
@with_and_without_z_in_h
def test_guides_read_the_state_and_the_prior_as_declared(name, h_reads_z):
    guide = part("guide", name, h_reads_z=h_reads_z)
    mask, state = torch.ones(B, T, dtype=torch.bool), a_state(B)
    prepared = prepared_by(guide, torch.randn(B, T, F), mask, torch.randn(B, T, H), h_reads_z)[:, 2]
    called = []

    def prior() -> Distribution:
        called.append(True)
        return part("prior", "standard")(a_state(B))

    before = guide(prepared, state, prior).mean
    moved = not guide(prepared, State(state.h + 1, state.z + 1), prior).mean.isclose(before).all()
    assert bool(called) == guide.reads_prior
    assert not moved or guide.reads_state
    if name in GUIDES:
        assert moved == guide.reads_state
    assert guide(prepared, state._replace(memory=(1,)), prior).mean.equal(before)


@pytest.mark.parametrize("name", GUIDES)
@with_and_without_z_in_h
def test_guides_read_the_future_as_declared_and_never_the_padding(name, h_reads_z):
    guide = part("guide", name, h_reads_z=h_reads_z)
    mask = torch.arange(T) < torch.tensor([7, 5, 4, 1]).unsqueeze(-1)
    x, h, state = torch.randn(B, T, F), torch.randn(B, T, H), a_state(B, T)

    def means(x: Tensor, h: Tensor) -> Tensor:
        return guide(prepared_by(guide, x, mask, h, h_reads_z), state, lambda: None).mean

    before = means(x, h)
    padded = ~mask.unsqueeze(-1)
    assert_close(means(x + 9 * padded, h - 9 * padded)[mask], before[mask], rtol=0, atol=0)

    changed = x.clone()
    changed[:, 3] += 1
    moved = ~means(changed, h).isclose(before, rtol=1e-9).all(-1)
    assert moved[:3, 3].all(), "x_t itself is read by every guide"
    assert moved[:3, :3].all() == guide.reads_future
    assert not moved[:3, :3].any() or guide.reads_future


@every_guide
def test_a_particle_axis_is_one_more_batch_axis_of_prepare(name):
    guide = part("guide", name)
    x, mask = torch.randn(2, B, T, F), ragged()[1]
    state = a_state(2, B, T)

    def prior(state: State) -> Distribution:
        return part("prior", "standard")(state)

    together = guide(guide.prepare(x, mask)[0], state, lambda: prior(state)).mean
    for k in range(2):
        own = State(state.h[k], state.z[k])
        assert_close(together[k], guide(guide.prepare(x[k], mask)[0], own, lambda own=own: prior(own)).mean)


def step_moved(after: Tensor, before: Tensor) -> list[int]:
    """Steps, axis 1, at which a number of the first sequence changed."""
    return (~after.isclose(before, rtol=1e-10, atol=1e-12)).flatten(2).any(-1)[0].nonzero().flatten().tolist()


def test_no_density_reads_what_it_must_not(variant):
    """x_3 or z_3 is changed; Eqs. 5 to 9 say which densities of steps 0 to 5 may notice."""
    net, row = small(variant), VARIANTS[variant]
    x, mask = torch.randn(1, 6, X), torch.ones(1, 6, dtype=torch.bool)
    z = torch.randn(1, 6, net.dims.z)
    changed_x, changed_z = x.clone(), z.clone()
    changed_x[:, 3] += 1
    changed_z[:, 3] += 1
    # Scored on frames and latents held fixed, so that only the densities themselves can move.
    before, x_moved, z_moved = (
        follow(net, *inputs) for inputs in ((x, mask, z), (changed_x, mask, z), (x, mask, changed_z))
    )

    assert step_moved(x_moved.emission.mean, before.emission.mean) == [4, 5]
    if not net.has_latents:
        return
    reads_h, reads_z = (field in READS[row.prior] for field in ("h", "z"))
    assert step_moved(x_moved.p.mean, before.p.mean) == ([4, 5] if reads_h else [])
    assert step_moved(x_moved.q.mean, before.q.mean) == ([0, 1, 2, 3, 4, 5] if net.guide.reads_future else [3, 4, 5])

    in_h = [4, 5] if row.h_reads_z else []
    assert step_moved(z_moved.emission.mean, before.emission.mean) == [3, *in_h]
    assert step_moved(z_moved.p.mean, before.p.mean) == ([4] if reads_z else in_h if reads_h else [])
    assert step_moved(z_moved.q.mean, before.q.mean) == (in_h or [4] if net.guide.reads_state else [])
