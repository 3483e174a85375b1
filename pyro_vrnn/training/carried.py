"""What rows go on from where they follow recordings from batch to batch."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import Past, State
from pyro_vrnn.training.ahead import Ready
from pyro_vrnn.training.world import World

PREFIX = "carried."


class Carried:
    """The rows' past, from batch to batch.

    Args:
        net: The parts.

    Attributes:
        past: What the last batch left; None before the first, and where rows do not follow recordings.
    """

    def __init__(self, net: VRNN) -> None:
        self.net = net
        self.past: Past | None = None

    def before(self, batch: Ready) -> Past | None:
        """What the rows of a batch go on from; zero for those that begin anew. None where no row follows another."""
        if batch.resets is None:
            return None
        past = self.beginning(batch) if self.past is None else self.past
        assert past is not None
        return past.anew(batch.resets)

    def beginning(self, batch: Ready) -> Past | None:
        """The same if every row of it began anew."""
        return None if batch.resets is None else Past(self.net.initial_state((len(batch.x),)))


def kept(past: Past | None, world: World, rows: int) -> dict[str, Tensor]:
    """The past of all rows over all ranks, by names for a checkpoint; every rank calls it.

    Args:
        past: Of this rank's rows.
        world: Who trains; row r is with rank r modulo their number.
        rows: How many rows there are.
    """
    by_rank = world.gather({} if past is None else {name: value.cpu() for name, value in _named(past).items()})
    whole: dict[str, Tensor] = {}
    for name, value in by_rank[0].items():
        whole[name] = value.new_zeros(*value.shape[:-2], rows, value.shape[-1])
        for rank, part in enumerate(by_rank):
            own = whole[name][..., rank :: world.size, :]
            own.copy_(part[name][..., : own.shape[-2], :])  # a rank without rows has one of padding
    return whole


def restored(tensors: Mapping[str, Tensor], world: World, like: Tensor) -> Past | None:
    """This rank's rows of what :func:`kept` gave, on any number of ranks; None where there is nothing."""
    own = {name: _rows(value, world).to(like.device) for name, value in tensors.items() if name.startswith(PREFIX)}
    if not own:
        return None
    memory = sorted((name for name in own if name.startswith(f"{PREFIX}state.memory.")), key=_place)
    state = State(own[f"{PREFIX}state.h"], own[f"{PREFIX}state.z"], tuple(own[name] for name in memory))
    return Past(state, _nested({_place(name): own[name] for name in own if name.startswith(f"{PREFIX}guide")}))


def _rows(value: Tensor, world: World) -> Tensor:
    own = value[..., world.rank :: world.size, :]
    return own.clone() if own.shape[-2] else value.new_zeros(*value.shape[:-2], 1, value.shape[-1])


def _named(past: Past) -> dict[str, Tensor]:
    h, z, memory = past.state
    named = {f"{PREFIX}state.h": h, f"{PREFIX}state.z": z}
    named |= {f"{PREFIX}state.memory.{i}": private for i, private in enumerate(memory)}
    return named | _flat(f"{PREFIX}guide", past.memory)


def _flat(name: str, memory: Any) -> dict[str, Tensor]:
    """The tensors of nested tuples, named by their places."""
    if isinstance(memory, tuple):
        return {key: value for i, item in enumerate(memory) for key, value in _flat(f"{name}.{i}", item).items()}
    return {} if memory is None else {name: memory}


def _place(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.split(".") if part.isdigit())


def _nested(by_place: Mapping[tuple[int, ...], Tensor]) -> Any:
    """The inverse of :func:`_flat`; None in the midst of a tuple is one at its place."""
    if not by_place:
        return None
    if () in by_place:
        return by_place[()]
    within: list[dict[tuple[int, ...], Tensor]] = [{} for _ in range(1 + max(place[0] for place in by_place))]
    for (first, *rest), value in by_place.items():
        within[first][tuple(rest)] = value
    return tuple(_nested(item) for item in within)
