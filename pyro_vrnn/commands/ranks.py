"""Which process of a job this one is: how many devices were asked for, who starts the ranks, and how they meet."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from pyro_vrnn.commands import supervising
from pyro_vrnn.data import Corpus
from pyro_vrnn.errors import ConfigurationError, DataError
from pyro_vrnn.inference.results import Estimate
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.training.checkpoint import Progress
from pyro_vrnn.training.config import Config, TrainingOptions
from pyro_vrnn.training.device import device_named
from pyro_vrnn.training.loop import Trainer
from pyro_vrnn.training.world import World

#: What torchrun sets for every process that it starts; our own supervisor sets the same.
RANK = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

#: What tells the supervisor of a machine where the others are.
RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


class Asked(NamedTuple):
    """How many devices a job has.

    Attributes:
        devices: Of each machine.
        nodes: Machines.
    """

    devices: int
    nodes: int

    def __str__(self) -> str:
        return f"--devices {self.devices} --nodes {self.nodes}"


def settled(config: Config) -> Config:
    """The configuration with the devices that there are, where somebody else started the processes.

    Raises:
        ConfigurationError: If more were asked for than there are, or nothing says where the machines meet.
    """
    options = config.training
    asked = Asked(options.devices, options.nodes)
    if (started := _started()) is not None:
        if asked not in (Asked(1, 1), started):
            raise ConfigurationError(f"{asked}: the launcher started {started}; make the two agree")
        asked = started
    if asked == Asked(1, 1):
        return config
    if ":" in options.device:
        raise ConfigurationError(
            f"--device {options.device}: names one device, and {asked} takes as many; pass --device"
            f" {options.device.partition(':')[0]}, and choose among them by CUDA_VISIBLE_DEVICES"
        )
    if device_named(options.device).type == "cuda" and asked.devices > torch.cuda.device_count():
        raise ConfigurationError(
            f"--devices {asked.devices}: this machine has {torch.cuda.device_count()} CUDA devices; ask for no more,"
            " or pass --device cpu"
        )
    missing = [name for name in RENDEZVOUS if not os.environ.get(name)]
    if started is None and asked.nodes > 1 and missing:
        raise ConfigurationError(
            f"--nodes {asked.nodes}: nothing says where the machines meet, {', '.join(missing)} not set; start every"
            f" machine's part by torchrun --nnodes {asked.nodes} --nproc-per-node {asked.devices}, which sets"
            f" {', '.join(RANK)}, or set {', '.join(RENDEZVOUS)} yourself"
        )
    training = options.model_copy(update=asked._asdict())
    return config.model_copy(update={"training": training})


def launches(options: TrainingOptions) -> bool:
    """Whether this process is no rank itself, but starts the ranks of this machine."""
    return _started() is None and Asked(options.devices, options.nodes) != Asked(1, 1)


@contextmanager
def joined(options: TrainingOptions) -> Iterator[World]:
    """The world that this process is a rank of.

    Raises:
        LostRankError: If the others do not come, or one of them is gone.
    """
    if Asked(options.devices, options.nodes) == Asked(1, 1):
        yield World()
        return
    # A process by itself imports neither Fabric nor torch's distributed package.
    from pyro_vrnn.training.fabric import FabricWorld

    supervised = supervising.obey()
    yield FabricWorld(device_named(options.device).type, supervised=supervised)


def same_data(checksums: Sequence[str]) -> None:
    """Sees that every rank has read the same.

    Raises:
        DataError: If one has not.
    """
    for rank, checksum in enumerate(checksums):
        if checksum != checksums[0]:
            raise DataError(
                f"rank {rank} reads other data than rank 0 (checksum {checksum[:12]}, expected {checksums[0][:12]});"
                " give every machine the same files"
            )


def train_along(config: Config, corpus: Corpus, net: VRNN, world: World, checkpoint: Path | None) -> None:
    """What a rank does that neither prints nor writes: rank 0's training, in the same order.

    Args:
        config: An explicit configuration.
        corpus: The data.
        net: The parts, on this rank's device.
        world: The ranks.
        checkpoint: What rank 0 resumes from; None for a new run.
    """
    trainer = Trainer(net, corpus.train, corpus.validation, config.training, Path(), _Silent(), world)
    if checkpoint is not None:
        trainer.resume(checkpoint)
    trainer.seconds_per_epoch()
    trainer.fit()
    world.close()


class _Silent:
    """A watcher that nobody hears of."""

    def step(self, progress: Progress, metrics: dict[str, float], frames: int) -> None:
        """See :class:`~pyro_vrnn.training.loop.Watcher`."""

    def epoch(self, progress: Progress, validation: Estimate, improved: bool) -> None:
        """See :class:`~pyro_vrnn.training.loop.Watcher`."""

    def checkpointed(self, progress: Progress) -> None:
        """See :class:`~pyro_vrnn.training.loop.Watcher`."""


def _started() -> Asked | None:
    """What the launcher of this process has started."""
    if not all(os.environ.get(name) for name in RANK):
        return None
    devices, size = (supervising.number_in(name) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if not devices or size % devices:
        raise ConfigurationError(f"{size} processes of which this machine has {devices}: every machine needs as many")
    return Asked(devices, size // devices)
