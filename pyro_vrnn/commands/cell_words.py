"""The ``fit`` commands of a grid's cells, as one would type them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pyro_vrnn.ablation import grid as grids
from pyro_vrnn.commands import fit


def fit_words(
    axes: Sequence[grids.Axis],
    cell: grids.Cell,
    given: Mapping[str, Mapping[str, Any]],
    config: Path | None,
    settings: Sequence[str],
) -> list[str]:
    """Arguments of ``fit`` that make a cell's run.

    Args:
        axes: Of the grid.
        cell: One of its cells.
        given: Options that all cells share, by room.
        config: A stored configuration under them all.
        settings: ``room.name=value`` that all cells share.
    """
    chosen: dict[str, dict[str, Any]] = {room: dict(options) for room, options in given.items()}
    flags, further = _flags(), list(settings)
    for each, setting in zip(axes, grids.settings(axes, cell.values), strict=True):
        room, _, name = each.place.partition(".")
        option = flags.get(each.place)
        chosen.get(room, {}).pop(name, None)
        if option is None or option.is_flag:
            further.append(setting)
        else:
            chosen.setdefault(room, {})[name] = cell.values[each.name]
    first = ["fit", *([] if config is None else ["--config", str(config)])]
    named = chosen.get("tracking", {})
    named.pop("tags", None)  # the grid's, and a cell gets them with those of its axes
    return [
        *first,
        *option_words(chosen),
        *(word for setting in further for word in ("--set", setting)),
        "--name",
        cell.label,
    ]


def tag_words(values: Mapping[str, str]) -> list[str]:
    """Options that tag a run."""
    return [word for name, value in values.items() for word in ("--tag", f"{name}={value}")]


def option_words(given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Options of ``fit``, by room, as they are typed; the model's first."""
    flags, words = _flags(), []
    for place, option in flags.items():
        room, _, name = place.partition(".")
        if (value := given.get(room, {}).get(name)) is None:
            continue
        if option.is_flag:
            words += [option.opts[0] if value else option.secondary_opts[0]]
        else:
            words += [option.opts[0], str(value)]
    return words


def _flags() -> dict[str, click.Option]:
    """The options of ``fit`` that have a place in the configuration, by it."""
    options = [parameter for parameter in fit.command.params if isinstance(parameter, click.Option)]
    return {str(option.name).replace("__", "."): option for option in options if "__" in str(option.name)}


def without(words: Sequence[str], flag: str) -> list[str]:
    """The same without an option and its value."""
    if flag not in words:
        return list(words)
    at = list(words).index(flag)
    return [*words[:at], *words[at + 2 :]]
