"""From axes to cells: every combination of values, each a whole configuration that makes sense."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from pyro_vrnn.data import EMBEDDED, look
from pyro_vrnn.errors import ConfigurationError, UserError
from pyro_vrnn.model.variants import ModelOptions, build
from pyro_vrnn.training.config import Config
from pyro_vrnn.training.identity import WHERE, identity
from pyro_vrnn.training.objective import check_objective

#: Rooms of the configuration whose values may be an axis: the store is one for all cells.
ROOMS = ("model", "data", "training", "evaluation")


class Axis(NamedTuple):
    """What changes from cell to cell.

    Attributes:
        name: The tag that it is on every run: ``variant``, ``seed``, ``guide``, ``learning_rate``.
        place: ``room.name`` of the configuration.
        values: As they were typed.
    """

    name: str
    place: str
    values: tuple[str, ...]


class Cell(NamedTuple):
    """One combination.

    Attributes:
        values: Of each axis, by its name.
        config: Explicit.
    """

    values: Mapping[str, str]
    config: Config

    @property
    def label(self) -> str:
        """For people and as the run's name: ``vrnn-gauss-smoothing-s0``."""
        return label(self.values)


class Refused(NamedTuple):
    """A combination that makes no sense."""

    values: Mapping[str, str]
    reason: str


def label(values: Mapping[str, str]) -> str:
    """The values of a cell in a row: words as they are, numbers with their axis's name, the seed at the end."""
    words = []
    for name, value in sorted(values.items(), key=lambda item: (item[0] == "seed", item[0] != "variant")):
        value = value.rstrip("/").rpartition("/")[2] or value
        plain = not value.replace(".", "").replace("-", "").replace("e", "").isdigit()
        words.append(f"s{value}" if name == "seed" else value if plain else f"{name}={value}")
    return "-".join(words)


def axis(name: str, text: str, option: str = "--grid") -> Axis:
    """An axis from what was typed.

    Args:
        name: Of a value of the configuration: ``guide``, or ``training.particles`` where a name alone has two places.
        text: Its values, with commas between.
        option: That it was typed after.

    Raises:
        ConfigurationError: If there is no such value, or none or the same one is given twice.
    """
    place = _place(name, option)
    values = tuple(value.strip() for value in text.split(","))
    if not all(values):
        raise ConfigurationError(f"{option} {name}={text}: an empty value; expected e.g. {name}=one,another")
    if doubled := [value for value in values if values.count(value) > 1]:
        raise ConfigurationError(f"{option} {name}={text}: {doubled[0]} is there twice; give every value once")
    short = place.partition(".")[2]
    return Axis(short if len(_places(short)) == 1 else place, place, values)


def _places(name: str) -> list[str]:
    rooms = ((room, Config.model_fields[room].annotation) for room in ROOMS)
    return [f"{room}.{name}" for room, options in rooms if name in getattr(options, "model_fields", {})]


def _place(name: str, option: str) -> str:
    _, dot, rest = name.partition(".")
    found = _places(name) if not dot else [place for place in _places(rest) if place == name]
    if not found:
        raise ConfigurationError(
            f"{option} {name}: no value of the configuration's rooms {', '.join(ROOMS)}; expected e.g. guide or "
            "training.learning_rate"
        )
    if len(found) > 1:
        raise ConfigurationError(f"{option} {name}: could be {' or '.join(found)}; write one of them")
    return found[0]


def combinations(axes: Sequence[Axis]) -> list[dict[str, str]]:
    """Every combination of the axes' values, the last axis changing first.

    Raises:
        ConfigurationError: If two axes are the same.
    """
    names = [each.name for each in axes]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise ConfigurationError(f"--grid {doubled[0]}: there is such an axis already; give all of its values at once")
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(each.values for each in axes))]


def settings(axes: Sequence[Axis], values: Mapping[str, str]) -> tuple[str, ...]:
    """A combination as ``room.name=value`` settings of a configuration."""
    return tuple(f"{each.place}={values[each.name]}" for each in axes)


def expand(axes: Sequence[Axis], configure: Callable[[tuple[str, ...]], Config]) -> tuple[list[Cell], list[Refused]]:
    """The cells of a grid, and what makes no sense of it.

    Args:
        axes: What changes.
        configure: A configuration from settings; may raise :class:`~pyro_vrnn.errors.UserError`.

    Returns:
        Every combination once, in one list or the other.

    Raises:
        ConfigurationError: If two axes are the same, or two combinations the same configuration.
    """
    cells: list[Cell] = []
    refused: list[Refused] = []
    known: dict[tuple[ModelOptions, int, str], ModelOptions] = {}
    for values in combinations(axes):
        try:
            cells.append(Cell(values, checked(configure(settings(axes, values)), known)))
        except UserError as error:
            refused.append(Refused(values, str(error)))
    seen: dict[str, Cell] = {}
    for cell in cells:
        if (other := seen.setdefault(identity(cell.config, ""), cell)) is not cell:
            raise ConfigurationError(
                f"{other.label} and {cell.label} are the same configuration; leave one of them out"
            )
    return cells, refused


def name_of_grid(axes: Sequence[Axis], base: Config, checksums: Sequence[str], trials: Sequence[str] = ()) -> str:
    """A name for a grid that stays when an axis gets further values: of what does not change, and of the axes.

    Args:
        axes: What changes.
        base: The configuration without the axes.
        checksums: Of the data, where they do not change.
        trials: How the trials of a search differ from its final runs; a grid without one has none.

    Returns:
        32 hexadecimal digits.
    """
    rooms = base.model_dump(mode="json", exclude={"tracking"}, exclude_none=True)
    for name in WHERE:
        rooms["training"].pop(name, None)
    for place in [each.place for each in axes] + ([] if base.data.source in EMBEDDED else ["data.source"]):
        room, _, name = place.partition(".")
        rooms[room].pop(name, None)
    said = json.dumps(
        [rooms, sorted(each.place for each in axes), sorted(checksums), *([sorted(trials)] if trials else [])],
        sort_keys=True,
    )
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def checked(config: Config, known: dict[tuple[ModelOptions, int, str], ModelOptions] | None = None) -> Config:
    """The configuration with every value filled in, if a model can be built of it.

    Args:
        config: It.
        known: Models that were looked at already, and what they came to: to match widths takes a second, and most cells
            of a grid share theirs with others.

    Raises:
        ConfigurationError: If it makes no sense.
    """
    known, source = {} if known is None else known, look(config.data)
    key = (config.model, source.frame, source.kind)
    if key not in known:
        model = config.explicit(source.frame, source.kind).model
        with torch.device("meta"):  # the shapes of the parts, and no memory for them
            build(_solved(model), source.frame)
        known[key] = model
    config = config.model_copy(update={"model": _solved(known[key])}).explicit(source.frame, source.kind)
    check_objective(config.training, latents=config.model.prior is not None)
    return config.model_copy(update={"model": known[key]})


def _solved(model: ModelOptions) -> ModelOptions:
    """The same model of explicit options: its widths are written out, and need not be matched again."""
    return model.model_copy(update={"widths": "released"})
