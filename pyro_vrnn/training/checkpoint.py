"""A checkpoint: everything that training goes on from, in one file that nothing is unpickled from."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pyro_vrnn.errors import TrackingError, first_line
from pyro_vrnn.model.state import Past
from pyro_vrnn.training.carried import kept, restored
from pyro_vrnn.training.files import write_whole
from pyro_vrnn.training.world import World

FILE = "checkpoint.safetensors"


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        epoch: Epochs completed.
        batch: Batches of the current epoch that are done.
        step: Optimiser steps done.
        best: Best validation bound, nats per sequence; -inf before the first.
        best_epoch: The epoch that it came from.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = float("-inf")
    best_epoch: int = 0


def save_checkpoint(
    folder: Path,
    net: nn.Module,
    optimiser: torch.optim.Adam,
    best: dict[str, Tensor] | None,
    progress: Progress,
    world: World,
    past: Past | None = None,
    rows: int = 0,
) -> None:
    """Writes the checkpoint, whole or not at all. Rank 0 does, with the random states and the rows of all.

    Args:
        folder: Where; made if it does not exist.
        net: Its parameters.
        optimiser: Its moments.
        best: The best parameters so far.
        progress: Where training stands; its random states are those of this moment.
        world: Who trains.
        past: What this rank's rows go on from, in the middle of an epoch whose rows follow recordings.
        rows: How many rows there are, over all ranks.
    """
    device = next(net.parameters()).device
    random_states, carried = world.gather(_random_states(device)), kept(past, world, rows)
    if not world.writes:
        return
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    tensors |= carried
    tensors |= {f"best.{name}": value for name, value in (best or {}).items()}
    for name, parameter in net.named_parameters():
        tensors |= {f"adam.{key}.{name}": value for key, value in optimiser.state.get(parameter, {}).items()}
    for rank, states in enumerate(random_states):
        tensors |= {_random(kind, rank): state for kind, state in states.items()}
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_whole(folder / FILE, save(contiguous, {"progress": json.dumps(asdict(progress))}))


def load_checkpoint(
    folder: Path, net: nn.Module, optimiser: torch.optim.Adam, world: World, seed: int
) -> tuple[dict[str, Tensor] | None, Progress, Past | None]:
    """Restores parameters, moments and random states in place. Rank 0 reads the file for all.

    A rank that the checkpoint holds no random state of, because there were fewer, begins with one of its own.

    Args:
        folder: As given to :func:`save_checkpoint`.
        net: A network of the same configuration.
        optimiser: Its optimiser.
        world: Who trains.
        seed: Of the run.

    Returns:
        The best parameters so far, where training stands, and what this rank's rows go on from.

    Raises:
        TrackingError: If the file is missing, damaged or of another model.
    """
    path = folder / FILE
    tensors, progress = world.tensors_from_first(lambda: _read(path))
    with _of_this_model(path):
        net.load_state_dict(_under("net.", tensors))
    for name, parameter in net.named_parameters():
        moments = {key: tensors.get(f"adam.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
        if any(value is None for value in moments.values()):
            continue
        # Adam's step count stays where the optimiser wants it: on the device if fused there, else on the CPU.
        optimiser.state[parameter] = {
            key: value.to(parameter.device) for key, value in moments.items() if value is not None
        }
    device = next(net.parameters()).device
    states = {kind: tensors.get(_random(kind, world.rank)) for kind in _random_states(device)}
    if any(state is None for state in states.values()):
        torch.manual_seed(world.seed(seed, progress.step))
    if (state := states["cpu"]) is not None:
        torch.set_rng_state(state)
    if (state := states.get("cuda")) is not None:
        torch.cuda.set_rng_state(state, device)
    past = restored(tensors, world, next(net.parameters()))
    return _under("best.", tensors) or None, progress, past


def _read(path: Path) -> tuple[dict[str, Tensor], Progress]:
    try:
        with _of_this_model(path), safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise TrackingError(f"{path}: no checkpoint there; this run cannot be resumed, start a new one") from None


@contextmanager
def _of_this_model(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise TrackingError(f"{path}: damaged or of another model ({first_line(error)}); start a new run") from None


def _random_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def _random(kind: str, rank: int) -> str:
    return f"random.{kind}.{rank}" if rank else f"random.{kind}"


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
