"""The sequence program: two Pyro sites for a whole batch, and one run through the recurrence for both.

Time is an event dimension: site ``z`` has event ``(T, Z)``, site ``x`` event ``(T, X)``, under one plate of sequences.
The guide's draw runs the recurrence once; the model is handed that very run, recognised by the identity of z, and
computes prior, KL and emission for all steps at once. It equals the markov program, several times faster.
"""

import re
import weakref
from typing import Any, ClassVar

import pyro
import torch
from pyro.distributions.torch_distribution import TorchDistribution
from pyro.poutine import runtime
from pyro.poutine.replay_messenger import ReplayMessenger
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.kl import register_kl
from torch.utils.weak import WeakIdKeyDictionary

from pyro_vrnn.model import draws
from pyro_vrnn.model.guides import PriorGuide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.program import Program
from pyro_vrnn.model.rollout import Rollout
from pyro_vrnn.model.segments import follow, infer
from pyro_vrnn.model.state import Past

_STEP_SITE = re.compile(r"[xz]_\d+")
# The rollout of each z that a guide drew, for as long as that guide's trace lives. Were it an attribute of z, a graph
# that saves z would keep itself alive through autograd, where Python's collector cannot see.
_drawn = WeakIdKeyDictionary()


class Model(Program):
    r"""Generative model: ``z`` with density :math:`\prod_t p(z_t \mid x_{<t}, z_{<t})` and ``x`` with
    :math:`\prod_t p(x_t \mid z_{\le t}, x_{<t})` (Chung et al. 2015, Eq. 8).

    x is an argument: with it, drawing ``x`` (``poutine.uncondition``) is one-step-ahead prediction; without it the
    joint density is drawn from, x fed back. To observe or replace single frames by a handler, use the markov program.

    Args:
        net: The parts.
    """

    def forward(self, x: Tensor | None = None, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """Runs the generative model over a batch of sequences.

        Args:
            x: Frames, ``(B, T, X)``; None lets the model run freely.
            mask: True for frames, False for padding, ``(B, T)``; None for whole sequences. Needed without x.
            past: What they go on from where they are segments of longer ones; None for their beginning. What the next
                segment goes on from is then left in ``after``.

        Returns:
            The frames, ``(*K, B, T, X)``, observed or drawn.

        Raises:
            ValueError: If both are missing or their shapes disagree.
            NotImplementedError: If a handler conditions or replaces ``x`` or the site of a single step.
        """
        net, mask = self.parts, self.frames_of(x, mask)
        _refuse_single_steps()
        run = _Run(net, x, mask, past)
        with pyro.plate("sequences", mask.shape[0], dim=-1):
            z = pyro.sample("z", PriorPath(run, mask.shape[:1])) if net.has_latents else None
            run.settle(z)
            frames = pyro.sample("x", EmissionPath(run, mask.shape[:1]), obs=x)
        if not any(_same(frames, known) for known in (x, run.drawn_x)):
            raise NotImplementedError(
                "site 'x' was conditioned or replaced by a handler, but its frames had already been read as an"
                " argument; pass x=..., or use the markov program, which feeds back what each site returned"
            )
        self.leave(past, run.rollout)
        return frames


class Guide(Program):
    r"""Approximate posterior: ``z`` with density :math:`\prod_t q(z_t \mid x, z_{<t})` (Chung et al. 2015, Eq. 10).

    Args:
        net: The parts.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None, past: Past | None = None) -> None:
        """Draws the latents of a batch of sequences; arguments as in :class:`Model`."""
        net, mask = self.parts, self.frames_of(x, mask)
        _refuse_single_steps()
        if net.has_latents:
            with pyro.plate("sequences", mask.shape[0], dim=-1):
                run = _Run(net, x, mask, past)
                pyro.sample("z", GuidePath(run, mask.shape[:1]))
            self.leave(past, run.rollout)


class _Run:
    """One call of a program: what it was given, and the rollout that its sites share.

    Distributions that plates expand are copies; they share this, and it dies with the traces that hold them.
    """

    def __init__(self, net: VRNN, x: Tensor | None, mask: Tensor, past: Past | None) -> None:
        self.net, self.x, self.mask, self.past = net, x, mask, past
        self.z: Tensor | None = None
        self.rollout: Rollout | None = None
        self.drawn_x: Tensor | None = None

    def keep(self, z: Tensor, rollout: Rollout) -> Tensor:
        self.z, self.rollout = z, rollout
        return z

    def of(self, z: Tensor) -> Rollout:
        """The rollout of this very z; a new one for a z that came from elsewhere."""
        if self.rollout is not None and _same(z, self.z):
            if not self.rollout.is_current:  # drawn without gradients, scored with them
                self.keep(z, follow(self.net, self.rollout.x, self.mask, z, self.past))
        else:
            offered = _drawn[z]() if z in _drawn else None
            if offered is not None and offered.belongs_to(self.net, self.x, self.mask, self.past):
                self.keep(z, offered)
            elif self.x is not None:
                self.keep(z, follow(self.net, self.x, self.mask, z, self.past))
            else:
                self.drawn_x, _, rollout = draws.generate(self.net, self.mask, z.shape[:-2], z=z, past=self.past)
                self.keep(z, rollout)
        assert self.rollout is not None
        return self.rollout

    def settle(self, z: Tensor | None) -> None:
        """Makes the rollout that the emission reads, once z is known."""
        if z is not None:
            self.of(z)
        elif self.x is not None:
            nothing = self.x.new_zeros((*self.x.shape[:-1], 0))
            self.rollout = follow(self.net, self.x, self.mask, nothing, self.past)


class _Path(TorchDistribution):
    """A density over whole sequences that factorises step by step; batch ``(*K, B)``, event ``(T, D)``."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = False

    def __init__(self, run: _Run, batch_shape: torch.Size) -> None:
        self.run = run
        event_shape = torch.Size((run.mask.shape[-1], self.width))
        super().__init__(torch.Size(batch_shape), event_shape, validate_args=False)

    @property
    def width(self) -> int:
        """Values in a step."""
        return self.run.net.dims.z

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> "_Path":
        """The same sequences, more often; what is drawn or computed is shared with the copy."""
        return type(self)(self.run, batch_shape)

    def _total(self, per_step: Tensor) -> Tensor:
        """The sum over steps, ``(*K, B)``: also of steps that particles share, e.g. where all latents are given."""
        total = per_step.sum(-1)
        return total.expand(torch.broadcast_shapes(total.shape, self.batch_shape))


class PriorPath(_Path):
    r""":math:`\prod_t p(z_t \mid x_{<t}, z_{<t})`; drawn with x given, or jointly with x where there is none."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws every z_t from the prior, ``(*K, B, T, Z)``."""
        run, shape = self.run, (*sample_shape, *self.batch_shape)
        with torch.no_grad():
            if run.x is not None:
                return run.keep(*draws.infer(run.net, run.x, run.mask, shape, guide=PriorGuide(), past=run.past))
            run.drawn_x, z, rollout = draws.generate(run.net, run.mask, shape, past=run.past)
            return run.keep(z, rollout)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats, ``(*K, B)``."""
        return self._total(self.run.of(z).log_prior(z))


class GuidePath(_Path):
    r""":math:`\prod_t q(z_t \mid x, z_{<t})`, reparameterised."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws every z_t, ``(*K, B, T, Z)``, and leaves the run at the model's disposal."""
        run = self.run
        assert run.x is not None
        z, rollout = infer(run.net, run.x, run.mask, (*sample_shape, *self.batch_shape), past=run.past)
        _drawn[z] = weakref.ref(rollout)
        return run.keep(z, rollout)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats, ``(*K, B)``."""
        return self._total(self.run.of(z).log_guide(z))


class EmissionPath(_Path):
    r""":math:`\prod_t p(x_t \mid z_{\le t}, x_{<t})`."""

    @property
    def width(self) -> int:
        """Values in a frame."""
        return self.run.net.dims.x

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """With x given each frame is drawn one step ahead; else the joint draw's x is returned, ``(*K, B, T, X)``."""
        run = self.run
        if run.x is None and not run.net.has_latents:
            shape = (*sample_shape, *self.batch_shape)
            run.drawn_x, _, run.rollout = draws.generate(run.net, run.mask, shape, past=run.past)
        elif run.x is not None:
            assert run.rollout is not None
            run.drawn_x = run.rollout.emission.expand((*self.batch_shape, run.mask.shape[-1])).sample(sample_shape)
        assert run.drawn_x is not None
        return run.drawn_x

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density in nats, ``(*K, B)``."""
        rollout = self.run.rollout
        assert rollout is not None
        if x is rollout.x:
            return self._total(rollout.log_emission)
        return self._total(rollout.emission.log_prob(x).masked_fill(~self.run.mask, 0.0))


@register_kl(GuidePath, PriorPath)
def _kl_along_the_drawn_path(q: GuidePath, p: PriorPath) -> Tensor:
    assert q.run.rollout is not None
    assert p.run.rollout is not None
    if q.run.rollout is p.run.rollout:
        return q.run.rollout.kl.sum(-1)
    return q.run.rollout.kl_to(p.run.rollout.p).sum(-1)


def _same(a: Tensor, b: Tensor | None) -> bool:
    """Whether b is a or a view of all of it, as handlers make by ``detach``."""
    return b is not None and (a is b or (a.shape == b.shape and a.data_ptr() == b.data_ptr()))


def _refuse_single_steps() -> None:
    for handler in runtime._PYRO_STACK:
        replayed = handler.trace.nodes if isinstance(handler, ReplayMessenger) and handler.trace else ()
        names = [*(getattr(handler, "data", None) or ()), *replayed]
        step = next((name for name in names if isinstance(name, str) and _STEP_SITE.fullmatch(name)), None)
        if step is not None:
            raise NotImplementedError(
                f"a handler names site {step!r}, a single step, which the sequence program does not have;"
                " use the markov program"
            )
