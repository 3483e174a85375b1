"""One step on two frames of zeros, by which mistakes in parts of one's own are found before training."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.own import said


def check_parts(net: VRNN, own: Mapping[str, str]) -> None:
    """Sees that parts return what their contracts say; torch's random state is left as it is.

    Args:
        net: The model; on the meta device nothing is checked.
        own: The names of the parts to check, by kind.

    Raises:
        ConfigurationError: If one raises an error, or returns something else.
    """
    like = next(net.parameters())
    if like.is_meta or not own:
        return
    features_x = net.phi_x(like.new_zeros(2, 2, net.dims.x)).detach()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for kind, name in own.items():
            with _one_line(kind, name, net):
                _CHECKS[kind](net, features_x)


def _prior(net: VRNN, features_x: Tensor) -> None:
    assert net.prior is not None
    _density(net.prior(net.initial_state((2,))), net.dims.z, features_x)


def _guide(net: VRNN, features_x: Tensor) -> None:
    assert net.guide is not None
    assert net.prior is not None
    guide, prior, state = net.guide, net.prior, net.initial_state((2,))
    ran = net.ran_without_z(features_x)
    mask = torch.ones(2, 2, dtype=torch.bool, device=features_x.device)
    prepared = guide.prepare(features_x, mask, None if ran is None else ran[0], None)
    if not (isinstance(prepared, tuple) and len(prepared) == 2):
        raise _WrongError(f"prepare returned {_what(prepared)}; expected (prepared, memory)")
    _shape("the first result of prepare", prepared[0], (2, 2, None), features_x)
    _density(guide(prepared[0][:, 0], state, lambda: prior(state)), net.dims.z, features_x)


def _emission(net: VRNN, features_x: Tensor) -> None:
    state = net.initial_state((2,))
    _density(net.emission(net.features_z(state.z), state), net.dims.x, features_x)


def _recurrence(net: VRNN, features_x: Tensor) -> None:
    state = net.initial_state((2,))
    driven = net.recurrence.prepare(features_x)
    _shape("the result of prepare", driven, (2, 2, None), features_x)
    after: Any = net.recurrence(driven[:, 0], net.features_z(state.z), state)
    if not (isinstance(after, tuple) and len(after) == 2 and isinstance(after[1], tuple)):
        raise _WrongError(f"forward returned {_what(after)}; expected (h, memory), memory a tuple")
    if len(after[1]) != net.recurrence.memory_size:
        raise _WrongError(f"a memory of {len(after[1])} tensors; memory_size says {net.recurrence.memory_size}")
    for word, tensor in [("h", after[0]), *(("memory", tensor) for tensor in after[1])]:
        _shape(word, tensor, (2, net.dims.h), features_x)


_CHECKS: dict[str, Callable[[VRNN, Tensor], None]] = {
    "prior": _prior,
    "guide": _guide,
    "emission": _emission,
    "recurrence": _recurrence,
}


class _WrongError(Exception):
    """A result that is not what the contract says."""


@contextmanager
def _one_line(kind: str, name: str, net: VRNN) -> Iterator[None]:
    try:
        yield
    except _WrongError as wrong:
        raise ConfigurationError(f"--{kind} {name}: on 2 sequences, {wrong}") from None
    except Exception as error:
        module = sys.modules[type(getattr(net, kind)).__module__]
        path = Path(module.__file__ or "")
        raise ConfigurationError(f"--{kind} {name}: on 2 sequences, {said(error, path)}") from None


def _density(density: Any, width: int, like: Tensor) -> None:
    if not isinstance(density, Distribution):
        raise _WrongError(f"forward returned {_what(density)}; expected a torch or Pyro distribution")
    if (*density.batch_shape, "|", *density.event_shape) != (2, "|", width):
        raise _WrongError(
            f"forward returned a density of batch {tuple(density.batch_shape)} and event {tuple(density.event_shape)}; "
            f"expected batch (2,) and event ({width},), e.g. by .to_event(1)"
        )
    _shape("a draw", density.sample(), (2, width), like)


def _shape(word: str, tensor: Any, expected: tuple[int | None, ...], like: Tensor) -> None:
    fits = isinstance(tensor, Tensor) and len(tensor.shape) == len(expected)
    fits = fits and all(e is None or e == n for e, n in zip(expected, tensor.shape, strict=True))
    if not fits or tensor.dtype != like.dtype:
        shape = ", ".join("any" if each is None else str(each) for each in expected)
        raise _WrongError(f"{word} is {_what(tensor)}; expected shape ({shape}) of {like.dtype}")


def _what(value: Any) -> str:
    return f"{tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
