"""Parts of one's own on a command line: to type a name is to trust its module."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyro_vrnn.model.own import CONTRACTS, trust_typed


def trust_parts(
    given: Mapping[str, Mapping[str, Any]], settings: Sequence[str], axes: Sequence[tuple[str, Sequence[str]]] = ()
) -> None:
    """Trusts the modules of the parts that were typed. What a configuration file names was not.

    Args:
        given: Options, by room.
        settings: ``room.name=value``.
        axes: Places and values of a grid.
    """
    typed = [(f"model.{kind}", [value]) for kind, value in given.get("model", {}).items()]
    pairs = [text.partition("=") for text in settings]
    typed += [(place.strip(), [value.strip().strip("\"'")]) for place, _, value in pairs]
    places = {f"model.{kind}" for kind in CONTRACTS}
    trust_typed(value for place, values in [*typed, *axes] if place in places for value in values)
