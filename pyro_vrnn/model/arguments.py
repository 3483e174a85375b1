"""What a part takes beside its widths: the options ``model.<kind>_<name>``, for the parts that know the name."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from pyro_vrnn.errors import ConfigurationError

#: By kind of part.
ARGUMENTS = {"prior": ("components",), "guide": ("base", "steps"), "emission": ("components",)}


def arguments_of(
    options: Any, variant: Any, parts: Mapping[str, Callable[..., Any] | None]
) -> dict[str, dict[str, Any]]:
    """The arguments of the parts, by kind and name; where an option is None, the part's own default.

    Args:
        options: Options of the model.
        variant: Its row, for the parts' names.
        parts: What builds each kind; None where the model has none.

    Raises:
        ConfigurationError: If an option is given that the part does not take.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, names in ARGUMENTS.items():
        part = parts[kind]
        taken = {} if part is None else signature(part).parameters
        found[kind] = {}
        for name in names:
            value = getattr(options, f"{kind}_{name}")
            if name in taken:
                found[kind][name] = taken[name].default if value is None else value
            elif value is not None:
                raise ConfigurationError(
                    f"model.{kind}_{name}={value}: {kind} {getattr(variant, kind) or 'none'} takes no {name}; leave it"
                    " out"
                )
    return found


def forget(stored: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Takes out of stored options of the model what a part took that is replaced: another part has its own.

    Args:
        stored: Is changed.
        given: Options beside it.
    """
    for kind, names in ARGUMENTS.items():
        if given.get(kind) not in (None, stored.get(kind)):
            for name in names:
                stored.pop(f"{kind}_{name}", None)
