"""Segments that go on from a past are the one long sequence; those that begin anew are themselves."""

from dataclasses import replace
from functools import partial
from unittest.mock import patch

import pyro
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from pyro_vrnn.model import draws, sequence
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.segments import infer
from pyro_vrnn.model.state import Past, State
from pyro_vrnn.model.variants import VARIANTS
from pyro_vrnn.training.objective import Elbo, Iwae, Objective, Weighted
from tests.model.small import PROGRAMS, H, X, Z, noise, small

B, T, SIZE = 3, 12, 4
#: Guides that see no future: only their sequences can be cut anywhere. Also a recurrence that runs ahead of its guide.
FORWARD = {name: row for name, row in VARIANTS.items() if row.guide != "smoothing"} | {
    "srnn, filtering": replace(VARIANTS["srnn"], guide="filtering"),
    "srnn, independent": replace(VARIANTS["srnn"], guide="independent"),
}
ALL = FORWARD | {"srnn": VARIANTS["srnn"], "z-forcing": replace(VARIANTS["vrnn-gauss"], guide="smoothing")}
BEGIN = tuple(range(0, T, SIZE))


def frames() -> tuple[Tensor, Tensor]:
    return torch.randn(B, T, X), torch.ones(B, T, dtype=torch.bool)


def cut(a: Tensor, start: int) -> Tensor:
    return a[..., start : start + SIZE, :]


def beginning(net: VRNN, rows: int = B) -> Past:
    return Past(net.initial_state((rows,)))


def carried(objective: Objective, net: VRNN, x: Tensor, eps: Tensor) -> tuple[Tensor, list[Past]]:
    """The sum over segments, and what each left."""
    past, left, losses = beginning(net), [], []
    for start in BEGIN:
        own = cut(x, start)
        # A loop that is recorded runs its step more often than there are steps: its noise comes as a row.
        recorded = patch.object(sequence, "infer", partial(draws.infer, eps=cut(eps, start)))
        with noise(cut(eps, start)) if pyro.settings.get("validate_distributions_torch") else recorded:
            losses.append(objective(own, torch.ones(own.shape[:2], dtype=torch.bool), past))
        past = objective.after
        left.append(past)
    return torch.stack(losses).sum(), left


def assert_same_state(one: State, other: State) -> None:
    for a, b in zip((one.h, one.z, *one.memory), (other.h, other.z, *other.memory), strict=True):
        assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", FORWARD)
def test_terms_and_states_of_segments_are_those_of_the_whole(name):
    net, (x, mask) = small(FORWARD[name], layers=2), frames()
    if not net.has_latents:
        whole, past = follow(net, x, mask, x.new_zeros(B, T, 0)), None
        for start in BEGIN:
            own = follow(net, cut(x, start), mask[:, :SIZE], x.new_zeros(B, SIZE, 0), past)
            assert_close(own.log_emission, whole.log_emission[:, start : start + SIZE], rtol=1e-10, atol=1e-12)
            past = own.left
        assert_same_state(past.state, whole.last)
        return
    eps = torch.randn(2, B, T, Z)
    z, whole = draws.infer(net, x, mask, (2, B), eps=eps)
    past = None
    for start in BEGIN:
        own_z, own = draws.infer(net, cut(x, start), mask[:, :SIZE], (2, B), eps=cut(eps, start), past=past)
        assert_close(own_z, cut(z, start), rtol=1e-10, atol=1e-12)
        for ours, theirs in (
            (own.log_emission, whole.log_emission),
            (own.log_prior(own_z), whole.log_prior(z)),
            (own.log_guide(own_z), whole.log_guide(z)),
            (own.kl, whole.kl),
        ):
            assert_close(
                ours.expand(2, -1, -1), theirs.expand(2, -1, -1)[..., start : start + SIZE], rtol=1e-10, atol=1e-12
            )
        # Known latents go on in the same way, and so does the guide that is asked of them.
        again = follow(net, cut(x, start), mask[:, :SIZE], own_z, past)
        assert_close(again.log_weights(own_z), own.log_weights(own_z), rtol=1e-10, atol=1e-12)
        past = own.left
        assert not any(a.requires_grad for a in (past.state.h, past.state.z, *past.state.memory))
    assert_same_state(past.state, whole.last)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("elbo", ["mean-field", "trace"])
@pytest.mark.parametrize("name", FORWARD)
def test_the_bound_of_both_programs_is_that_of_the_whole(name, elbo, program):
    net, (x, mask) = small(FORWARD[name]), frames()
    objective, eps = Elbo(net, program, elbo), torch.randn(B, T, Z)
    with noise(eps):
        whole = objective(x, mask, beginning(net))
    left = objective.after
    total, by_segment = carried(objective, net, x, eps)
    assert_close(total, whole, rtol=1e-10, atol=0)
    assert_same_state(by_segment[-1].state, left.state)
    for a, b in zip(_flat(by_segment[-1].memory), _flat(left.memory), strict=True):
        assert_close(a, b, rtol=1e-10, atol=1e-12)
    with noise(eps):  # a past of zeros is none
        assert_close(objective(x, mask), whole, rtol=1e-12, atol=0)
    assert objective.after is None


def _flat(memory) -> list[Tensor]:
    return (
        [a for item in memory for a in _flat(item)] if isinstance(memory, tuple) else [] if memory is None else [memory]
    )


def naive(net: VRNN, x: Tensor, eps: Tensor) -> Tensor:
    """The negative bound with truncated gradients, written down step by step: everything is cut between segments."""
    state, memory, total = net.initial_state((B,)), None, x.new_zeros(())
    for start in BEGIN:
        state = State(state.h.detach(), state.z.detach(), tuple(a.detach() for a in state.memory))
        own = cut(x, start)
        features_x = net.phi_x(own)
        prepared, hs = None, None
        if net.guide is not None:
            if not net.recurrence.reads_z:
                ahead, hs = state, []
                for t in range(SIZE):
                    hs.append(ahead.h)
                    driven = net.recurrence.prepare(features_x)[:, t]
                    ahead = net.advance(driven, ahead.z, net.features_z(ahead.z), ahead)
                hs = torch.stack(hs, 1)
            memory = None if net.guide.reads_future or memory is None else tuple(a.detach() for a in memory)
            prepared, memory = net.guide.prepare(features_x, torch.ones(B, SIZE, dtype=torch.bool), hs, memory)
        for t in range(SIZE):
            z = state.z
            if prepared is not None:
                p = net.prior(state)
                q = net.guide(prepared[:, t], state, lambda p=p: p)
                z = q.loc + q.scale * cut(eps, start)[:, t]
                total = total + (q.log_prob(z) - p.log_prob(z)).sum()
            total = total - net.emit(net.features_z(z), state).log_prob(own[:, t]).sum()
            state = net.advance(net.recurrence.prepare(features_x)[:, t], z, net.features_z(z), state)
    return total


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ALL)
def test_loss_and_gradient_are_those_of_truncation_written_down(name, program):
    net, (x, _) = small(ALL[name]), frames()
    eps, found = torch.randn(B, T, Z), []
    with pyro.validation_enabled(program == "markov"):  # without, the loop over time is recorded
        for loss in (lambda: naive(net, x, eps), lambda: carried(Elbo(net, program, "trace"), net, x, eps)[0]):
            net.zero_grad()
            value = loss()
            value.backward()
            found.append((value.detach(), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}))
    (expected, gradients), (value, ours) = found
    assert_close(value, expected, rtol=1e-10, atol=0)
    assert ours.keys() == gradients.keys()
    for key, gradient in gradients.items():
        assert_close(ours[key], gradient, rtol=1e-8, atol=1e-9, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("name", ALL)
def test_rows_that_begin_anew_are_as_without_a_past_beside_rows_that_go_on(name):
    net, (x, mask) = small(ALL[name]), frames()
    objective = Elbo(net)
    first, second = cut(x, 0), cut(x, SIZE)
    eps, own = torch.randn(B, T, Z), mask[:, :SIZE]
    with noise(cut(eps, 0)):
        objective(first, own, beginning(net))
    past, resets = objective.after, torch.tensor([False, True, False])
    rows = []
    for given in (past, past.anew(resets), None):
        by_row = []
        for row in range(B):
            only = None if given is None else given.each(lambda a, row=row: a[..., row : row + 1, :])
            with noise(cut(eps, SIZE)[row : row + 1]):
                by_row.append(objective(second[row : row + 1], own[:1], only).detach())
        rows.append(torch.stack(by_row))
    gone_on, mixed, new = rows
    assert_close(mixed, torch.where(resets, new, gone_on), rtol=1e-12, atol=0)
    assert ((gone_on - new).abs() > 1e-6).all()
    with noise(cut(eps, SIZE)):
        assert_close(objective(second, own, past.anew(resets)).detach(), mixed.sum(), rtol=1e-10, atol=0)


def test_a_guide_that_reads_the_future_ends_with_the_segment():
    for name in ("srnn", "z-forcing"):
        net, (x, mask) = small(ALL[name]), frames()
        _, one = draws.infer(net, cut(x, 0), mask[:, :SIZE], (B,))
        assert one.left.memory is None
        eps, past = torch.randn(B, SIZE, Z), one.left
        z, run = draws.infer(net, cut(x, SIZE), mask[:, :SIZE], (B,), eps=eps, past=past)
        # Whatever another segment left with its guide, nothing of it is read.
        other = past._replace(memory=tuple(torch.randn(1, B, 12) for _ in range(2)))
        again, same = draws.infer(net, cut(x, SIZE), mask[:, :SIZE], (B,), eps=eps, past=other)
        assert_close(again, z, rtol=0, atol=0)
        assert_close(follow(net, cut(x, SIZE), mask[:, :SIZE], z, other).log_guide(z), run.log_guide(z))
        assert same.left.memory is None


OBJECTIVES = {
    "mean-field": Elbo,
    "trace": lambda net: Elbo(net, elbo="trace"),
    "iwae": lambda net: Iwae(net, 3),
    "free bits": lambda net: Weighted(net, free_bits=0.3),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", ALL)
def test_a_past_also_where_the_backward_pass_runs_again(name, objective):
    net, (x, mask) = small(ALL[name]), frames()
    if not net.has_latents and objective not in ("mean-field", "trace"):
        pytest.skip("no latents")
    function, found = OBJECTIVES[objective](net), []
    with pyro.validation_enabled(False):
        past = infer(net, x, mask, (B,))[1].left if net.has_latents else follow(net, x, mask, x[..., :0]).left
        for every in (0, 3):
            net.checkpoint_every = every
            net.zero_grad()
            torch.manual_seed(1)
            loss = function(x, mask, past)
            loss.backward()
            gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
            found.append((loss.detach(), gradient, function.after))
    (loss, gradient, after), (other, ours, left) = found
    assert_close(other, loss, rtol=1e-10, atol=0)
    assert_close(ours, gradient, rtol=1e-7, atol=1e-7 * float(gradient.abs().max()))
    assert_same_state(left.state, after.state)
    for a, b in zip(_flat(left.memory), _flat(after.memory), strict=True):
        assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert after.state.h.shape == (B, H)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_drawn_freely_goes_on_too(program, variant):
    net = small(variant)
    model = PROGRAMS[program].Model(net)
    ones = torch.ones(B, 2 * SIZE, dtype=torch.bool)
    torch.manual_seed(2)
    whole = model(None, ones, beginning(net))
    torch.manual_seed(2)
    one = model(None, ones[:, :SIZE], beginning(net))
    two = model(None, ones[:, :SIZE], model.after)
    assert_close(torch.cat([one, two], 1), whole, rtol=1e-10, atol=1e-12)


def test_particles_have_one_past_or_each_its_own():
    net, (x, mask) = small("vrnn-gauss"), frames()
    eps = torch.randn(2, B, T, Z)
    _, run = draws.infer(net, x, mask, (2, B), eps=eps)
    own = run.left
    z, together = draws.infer(net, x, mask, (2, B), eps=eps, past=own)
    for k in range(2):
        alone_z, alone = draws.infer(net, x, mask, (B,), eps=eps[k], past=own.of_particle(k))
        assert_close(z[k], alone_z, rtol=1e-12, atol=0)
        assert_close(together.log_weights(z)[k], alone.log_weights(alone_z), rtol=1e-10, atol=1e-12)
    z, _ = draws.infer(net, x, mask, (2, B), eps=eps, past=own.of_particle(1))
    assert_close(z[1], alone_z, rtol=1e-12, atol=0)
