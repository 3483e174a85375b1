"""What can be prepared: for every corpus its kind, its reader, how it is read unless told otherwise, and its plan."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ConfigurationError
from ..kinds import Kind
from ..protocols import PROTOCOLS, Plan, Used
from ..readers import arrays, iam, strokes
from .reading import Reader

__all__ = ["CORPORA", "READERS", "Plan", "Planner", "Recipe", "Used", "recipe_of"]

Planner = Callable[[Collection[str], Mapping[str, Any], int, Path], Plan]
"""The plan of a folder: of the relative paths of its files, options of the corpus's own, a seed, and where it is."""


class Recipe(NamedTuple):
    """How a corpus is prepared.

    Attributes:
        kind: What its files hold.
        read: Its reader; None for sound.
        plan: Which files are used, whose they are, and in which part.
        defaults: Fields of `DataOptions`, unless they are given.
    """

    kind: Kind
    read: Reader | None
    plan: Planner
    defaults: Mapping[str, Any]


READERS: dict[str, Reader] = {"iam-ondb": iam.read, "strokes": strokes.read, "arrays": arrays.read}
"""The reader of each corpus that is not of sound."""


CORPORA: dict[str, Recipe] = {
    name: Recipe(corpus.defaults.kind, READERS.get(name), corpus.plan_folder, corpus.defaults.options())
    for name, corpus in PROTOCOLS.items()
}
"""Every corpus that can be prepared, by its name."""


def recipe_of(corpus: str) -> Recipe:
    """How a corpus is prepared.

    Raises:
        ConfigurationError: There is no such corpus.
    """
    if corpus not in CORPORA:
        raise ConfigurationError(f"{corpus}: no such corpus; expected one of {', '.join(CORPORA)}")
    return CORPORA[corpus]
