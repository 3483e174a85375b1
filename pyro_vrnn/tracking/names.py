"""What MLflow accepts as a name or a value."""

import re

from pyro_vrnn.errors import TrackingError

NAME_LENGTH = 250
PARAMETER_LENGTH = 6000
TAG_LENGTH = 5000

_FOREIGN = re.compile(r"[^A-Za-z0-9_\-.:/ ]+")


def clean(name: str) -> str:
    """A name MLflow accepts.

    Whatever is not a letter, a digit, a space or one of ``_ - . : /`` becomes ``_`` (one for a whole stretch). Dots at
    the beginning, spaces around the parts of a path and parts that are empty, ``.`` or ``..`` vanish. 250 characters
    remain. A clean name stays as it is.
    """
    parts = [part.strip() for part in _FOREIGN.sub("_", name)[:NAME_LENGTH].split("/")]
    return "/".join(part for part in parts if part not in ("", ".", "..")).lstrip("./ ") or "_"


class Names(dict[str, str]):
    """Given names and their clean forms, each worked out once; two names must not fall together.

    Raises:
        TrackingError: If a new name's clean form already belongs to another name.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self._owners: dict[str, str] = {}

    def __missing__(self, name: str) -> str:
        cleaned = clean(name)
        owner = self._owners.setdefault(cleaned, name)
        if owner != name:
            raise TrackingError(
                f"the {self.what} names {owner!r} and {name!r} would both be stored as {cleaned!r}: rename one"
            )
        self[name] = cleaned
        return cleaned


def cut(value: str, length: int) -> str:
    """The value, its end replaced by an ellipsis if it is longer than ``length``."""
    return value if len(value) <= length else value[: length - 1] + "…"
