"""Many processes over torch.distributed, set up by Lightning Fabric."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, distributed, nn

from pyro_vrnn.errors import UserError
from pyro_vrnn.model.state import Past
from pyro_vrnn.training.world import Anything, LostRankError, World

#: Seconds that a rank which lost another waits to be ended by its supervisor, who knows which one it was and why.
VERDICT = 10.0

#: Fabric's backends by device. What is said on the host goes by gloo, so that no GPU is waited for.
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


class FabricWorld(World):
    """The ranks of a job, each with a device of its own.

    ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``LOCAL_WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT`` of the
    environment say which they are and where they meet.

    Args:
        kind: ``cpu`` or ``cuda``.
        supervised: Whether somebody ends this process when another one died.

    Raises:
        LostRankError: If the others do not come.
    """

    def __init__(self, kind: str, *, supervised: bool = False) -> None:
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self._supervised = supervised
        local, self.size = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        self.rank = int(os.environ["RANK"])
        self._fabric = Fabric(
            accelerator=kind,
            devices=local,
            num_nodes=self.size // local,
            strategy=DDPStrategy(cluster_environment=TorchElasticEnvironment(), process_group_backend=BACKENDS[kind]),
        )
        with self.contact():
            self._fabric.launch()
        self.device = self._fabric.device

    def wrap(self, objective: nn.Module) -> Callable[..., Tensor]:
        """Wraps it by torch's DDP, which begins with rank 0's parameters."""
        return self._fabric.setup_module(_Reaching(objective, self.size), move_to_device=False)

    def sum(self, values: Tensor) -> Tensor:
        """An all-reduce, on the tensor's device."""
        total = values.detach().clone()
        with self.contact():
            distributed.all_reduce(total)
        return total

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """An all-reduce on the CPU."""
        return tuple(count > 0 for count in self.sum(torch.tensor(flags, dtype=torch.int64)).tolist())

    def gather(self, value: Anything) -> list[Anything]:
        """Every rank's value, pickled, over the CPU."""
        found: list[Any] = [None] * self.size
        with self.contact():
            distributed.all_gather_object(found, value)
        return found

    def from_first(self, make: Callable[[], Anything]) -> Anything:
        """Rank 0's value or mistake, pickled, over the CPU."""
        found: list[Any] = [None]
        if self.rank == 0:
            try:
                found = [make()]
            except UserError as error:
                found = [error]
        with self.contact():
            distributed.broadcast_object_list(found)
        if isinstance(found[0], UserError):
            raise found[0]
        return found[0]

    def tensors_from_first(
        self, make: Callable[[], tuple[Mapping[str, Tensor], Anything]]
    ) -> tuple[dict[str, Tensor], Anything]:
        """Rank 0's tensors, one after the other, over the CPU."""
        own: dict[str, Tensor] = {}

        def described() -> tuple[list[tuple[str, torch.Size, torch.dtype]], Anything]:
            tensors, other = make()
            own.update(tensors)
            return [(name, value.shape, value.dtype) for name, value in own.items()], other

        names, other = self.from_first(described)
        with self.contact():
            for name, shape, dtype in names:
                distributed.broadcast(own.setdefault(name, torch.empty(shape, dtype=dtype)), 0)
        return own, other

    @contextmanager
    def contact(self) -> Iterator[None]:
        """Takes what gloo and NCCL raise for a lost rank."""
        try:
            yield
        except RuntimeError as error:
            # gloo has no exception of its own; its messages name its source.
            if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
                raise
            if self._supervised:
                time.sleep(VERDICT)
            else:
                # torchrun asks all to end once one did, which must not interrupt how this rank ends its run.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            what = str(error).splitlines()[0].partition("] ")[2].partition(". ")[0]
            raise LostRankError(
                f"rank {self.rank} of {self.size} ({socket.gethostname()}) lost contact with the other ranks"
                f" ({what or type(error).__name__}); see which of them ended first, and go on with --resume"
            ) from None

    def close(self) -> None:
        """Waits for all, then leaves."""
        with self.contact():
            distributed.barrier()
        distributed.destroy_process_group()


class _Reaching(nn.Module):
    """An objective whose loss reaches every parameter.

    DDP waits for a gradient of each. Without a second time step the recurrence gets none, and whether there is one
    differs between ranks; searching the graph for such parameters at each step (``find_unused_parameters``) would
    wait for the GPU.
    """

    def __init__(self, objective: nn.Module, size: int) -> None:
        super().__init__()
        self.objective, self.size = objective, size

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The loss of this rank's rows."""
        loss: Tensor = _Reach.apply(self.objective(x, mask, past), self.size, *self.objective.parameters())
        return loss


class _Reach(torch.autograd.Function):
    """The identity of a loss; parameters are told that nothing came through here, which counts as zero.

    The gradient is multiplied by the number of ranks: DDP's mean over ranks is then the sum.
    """

    @staticmethod
    def forward(ctx: Any, loss: Tensor, size: int, *parameters: Tensor) -> Tensor:
        ctx.size, ctx.count = size, len(parameters)
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        return gradients[0] * ctx.size, *(None,) * (1 + ctx.count)
