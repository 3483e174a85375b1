"""A peer is the same model: the same numbers from the same weights and noise, and the same products."""

import pytest
import torch
from torch import nn

from pyro_vrnn.benchmark import peers
from pyro_vrnn.benchmark.peers import plain_peer
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.nets import Affine
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.variants import ModelOptions, build

X, B, T = 7, 4, 6
PAPER = ["rnn-gauss", "rnn-gmm", "vrnn-i", "vrnn-i-gmm", "vrnn-gauss", "vrnn-gmm"]


def options(variant: str, **more) -> ModelOptions:
    widths = {"phi_x_width": 6, "phi_z_width": 5, "guide_width": 4, "prior_width": 3, "emission_width": 8}
    return ModelOptions(variant=variant, h=9, z=2, depth=2, **{**widths, **more})


def take_over(peer: nn.Module, net: nn.Module) -> None:
    """Our parameters into the peer's layers."""
    for name, part in {"encoder": net.guide, "decoder": net.emission, **dict(net.named_children())}.items():
        theirs = [layer for layer in getattr(peer, name, None) or () if isinstance(layer, nn.Linear)]
        ours = [layer for layer in part.modules() if isinstance(layer, Affine)] if theirs else []
        for linear, affine in zip(theirs, ours, strict=True):
            linear.weight.data.copy_(torch.cat(list(affine.weights), -1))
            linear.bias.data.copy_(affine.bias)
    for layer, cell in enumerate(net.recurrence.cells):
        library = peer.rnn if hasattr(peer, "rnn") else peer.cells[layer]
        ending = f"_l{layer}" if hasattr(peer, "rnn") else ""
        for name, value in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), cell.library_weights(), strict=True):
            getattr(library, name + ending).data.copy_(value)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("variant", PAPER)
def test_a_peer_computes_the_same_bound(variant, layers, monkeypatch):
    given = options(variant, layers=layers)
    _compare(given, torch.randn(B, T, X), monkeypatch)


@pytest.mark.parametrize("emission", ["pen", "pen-gauss"])
@pytest.mark.parametrize("variant", ["rnn-gmm", "vrnn-gauss"])
def test_a_peer_on_points_of_a_pen(variant, emission, monkeypatch):
    x = torch.cat([torch.randn(B, T, 2), torch.randint(2, (B, T, 1)).double()], -1)
    _compare(options(variant, emission=emission), x, monkeypatch)


def _compare(given: ModelOptions, x: torch.Tensor, monkeypatch) -> None:
    net, peer = build(given, x.shape[-1]), plain_peer(given, x.shape[-1])
    take_over(peer, net)
    mask = torch.arange(T) < torch.tensor([6, 3, 1, 5]).unsqueeze(-1)
    eps = torch.randn(B, T, net.dims.z)
    if net.has_latents:
        _, rollout = infer(net, x, mask, (B,), eps=eps)
        expected = rollout.kl.sum() - rollout.log_emission.sum()
    else:
        expected = -follow(net, x, mask, eps).log_emission.sum()
    steps = iter(eps.unbind(1))
    monkeypatch.setattr(peers.torch, "randn_like", lambda like: next(steps))
    torch.testing.assert_close(peer(x, mask), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("variant", PAPER)
def test_a_peer_has_the_same_weights(variant):
    given = ModelOptions(variant=variant)
    net, peer = build(given, 200), plain_peer(given, 200)
    counts = [sum(p.numel() for p in module.parameters() if p.ndim == 2) for module in (net, peer)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "given",
    [
        options("storn"),
        options("srnn"),
        options("vrnn-gauss", recurrence="gru"),
        options("vrnn-gauss", guide="smoothing"),
        options("vrnn-gauss", prior="transition"),
    ],
)
def test_there_is_none_where_no_public_code_can_be_followed(given):
    assert plain_peer(given, X) is None
