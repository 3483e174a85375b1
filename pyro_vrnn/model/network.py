"""Every model of the paper: one composition of five parts."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.priors import Prior
from pyro_vrnn.model.recurrence import Recurrence
from pyro_vrnn.model.state import Dims, State, before


class VRNN(nn.Module):
    r"""A variational recurrent neural network (Chung et al. 2015, Sec. 3), as its parts.

    .. math::
        p(x_{\le T}, z_{\le T}) = \prod_t p(x_t \mid z_{\le t}, x_{<t})\, p(z_t \mid x_{<t}, z_{<t})

    It holds no loop, plate or device: the two Pyro programs
    (:mod:`~pyro_vrnn.model.markov`, :mod:`~pyro_vrnn.model.sequence`) run it. Without prior and guide it is one of the
    paper's RNN baselines, whose z has width 0.

    Args:
        dims: Widths that the parts agree on.
        phi_x: Features of a frame.
        phi_z: Features of a latent; None without latents.
        prior: p(z_t | x_<t, z_<t); None without latents.
        guide: q(z_t | x, z_<t); None without latents.
        emission: p(x_t | z_<=t, x_<t).
        recurrence: h_t.

    Attributes:
        checkpoint_every: Steps between which training keeps the state and z alone, and computes the rest twice
            (:mod:`~pyro_vrnn.model.segments`); 0 keeps everything. A way of running it, no part of what it is: it is
            not saved with the parameters.
    """

    checkpoint_every: int = 0

    def __init__(
        self,
        dims: Dims,
        *,
        phi_x: nn.Module,
        phi_z: nn.Module | None,
        prior: Prior | None,
        guide: Guide | None,
        emission: nn.Module,
        recurrence: Recurrence,
    ) -> None:
        super().__init__()
        self.dims = dims
        self.phi_x, self.phi_z, self.prior, self.guide = phi_x, phi_z, prior, guide
        self.emission, self.recurrence = emission, recurrence

    @property
    def has_latents(self) -> bool:
        """False for the RNN baselines, whose likelihood is exact."""
        return self.prior is not None

    @property
    def binary(self) -> int:
        """Values of a frame that are 0 or 1, its last ones: a pen's. Emissions that say nothing of it have none."""
        return getattr(self.emission, "binary", 0)

    def initial_state(self, batch_shape: torch.Size | tuple[int, ...]) -> State:
        """h_0 = 0, z_0 = 0 and an empty memory for a batch, on the parameters' device and in their dtype."""
        like = next(self.parameters())
        h, z = (like.new_zeros((*batch_shape, width)) for width in (self.dims.h, self.dims.z))
        return State(h, z, (h,) * self.recurrence.memory_size)

    def features_z(self, z: Tensor) -> Tensor:
        """phi_z(z), ``(*B, Z)`` to ``(*B, G)``; of width 0 without latents."""
        return z if self.phi_z is None else self.phi_z(z)

    def advance(self, driven: Tensor, z: Tensor, features_z: Tensor, state: State) -> State:
        """The state after step t (Eq. 7): the one step that training, scoring and generation share.

        Args:
            driven: ``recurrence.prepare(phi_x(x_t))``, ``(*B, P)``.
            z: z_t, ``(*B, Z)``.
            features_z: phi_z(z_t), ``(*B, G)``.
            state: The state of step t - 1.
        """
        h, memory = self.recurrence(driven, features_z, state)
        return State(h, z, memory)

    def emit(self, features_z: Tensor, state: State) -> Distribution:
        """Density of x_t (Eq. 6), batch ``(*B,)`` and event ``(X,)``."""
        return self.emission(features_z, state)

    def ran_without_z(
        self, features_x: Tensor, state: State | None = None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]] | None:
        """Where the recurrence reads no z: h_0..h_{T-1}, ``(*B, T, H)``, and h and memory after the last step.

        Args:
            features_x: phi_x(x), ``(*B, T, F)``.
            state: The state before the first step; None for h_0 = 0.

        Returns:
            None where the recurrence reads z and no h is known before it.
        """
        if self.recurrence.reads_z:
            return None
        state = self.initial_state(features_x.shape[:-2]) if state is None else state
        nothing = features_x.new_zeros((*state.h.shape[:-1], features_x.shape[-2], self.dims.phi_z))
        after, (last_h, memory) = self.recurrence.over_time(features_x, nothing, state)
        return before(state.h, after), last_h, memory
