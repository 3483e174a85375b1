"""Parts of one's own, by ``package.module:Class``: which code is imported, where it came from, and how it is built.

Nothing stored is executed: a name leads to a module that Python finds on this machine, if that module was trusted.
"""

import hashlib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.priors import Prior
from pyro_vrnn.model.recurrence import Recurrence

#: Names the trusted modules, with commas between; processes that are started inherit it.
TRUST = "PYRO_VRNN_TRUST"

#: What a class must be derived from, and what it is called with.
CONTRACTS: dict[str, tuple[type[nn.Module], str]] = {
    "prior": (Prior, "(dims, hidden)"),
    "guide": (Guide, "(dims, hidden)"),
    "emission": (nn.Module, "(dims, hidden)"),
    "recurrence": (Recurrence, "(dims, layers=)"),
}

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_NAME = re.compile(rf"{_WORD}(\.{_WORD})*:{_WORD}")
_TRUSTED = re.compile(rf"{_WORD}(\.{_WORD})*(@[0-9a-f]{{8,64}})?")


class Source(NamedTuple):
    """The file that a module comes from.

    Attributes:
        module: Its name.
        path: Of the file.
        text: What is in it.
    """

    module: str
    path: Path
    text: bytes

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, 64 hexadecimal digits."""
        return hashlib.sha256(self.text).hexdigest()


#: What was imported, as it was then: a file may change while a process runs.
_imported: dict[str, Source] = {}


def is_own(name: str | None) -> bool:
    """Whether a part's name is that of a class; no name of a table has a colon."""
    return name is not None and ":" in name


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Sees that a name which is in no table may be that of a class.

    Raises:
        ConfigurationError: If it cannot.
    """
    if not is_own(name):
        raise ConfigurationError(
            f"--{kind} {name}: unknown; choose one of {', '.join(known)}, or module:Class of your own"
        )
    if _NAME.fullmatch(name) is None or name.partition(":")[0].endswith(".py"):
        raise ConfigurationError(
            f"--{kind} {name}: no name of a class; expected module:Class as Python imports it, e.g. my_parts:MyGuide "
            "for the class MyGuide in my_parts.py"
        )


def trust(*modules: str) -> None:
    """Lets this process, and those that it starts, import modules for parts.

    Args:
        modules: ``package.module``, whose source must then be what a stored model was trained with; or with a checksum
            behind it, ``package.module@1a2b3c4d``, the source that has this one, whatever was stored.

    Raises:
        ConfigurationError: If one is no such name.
    """
    for module in modules:
        if _TRUSTED.fullmatch(module) is None:
            raise ConfigurationError(
                f"--trust {module}: expected a module as Python imports it, e.g. my_parts, or my_parts@ and the first "
                "8 or more digits of its checksum"
            )
    os.environ[TRUST] = ",".join(dict.fromkeys([*_trusted(), *modules]))


def trust_typed(names: Iterable[Any]) -> None:
    """Trusts the modules of classes that were typed as parts; other names are left alone."""
    trust(*(str(name).partition(":")[0] for name in names if _NAME.fullmatch(str(name))))


def builder(kind: str, name: str, stored: Sequence[str]) -> Callable[..., Any]:
    """What builds a part of one's own, as the entries of the tables build theirs.

    Args:
        kind: ``prior``, ``guide``, ``emission`` or ``recurrence``.
        name: ``package.module:Class``.
        stored: ``module@checksum`` of what a model was trained with; empty for a new one.

    Raises:
        ConfigurationError: If the module is not trusted, has changed or is not found, or the class is none of the kind.
    """
    base, arguments = CONTRACTS[kind]
    module, _, word = name.partition(":")
    source = _source(kind, name, stored)
    try:
        found = getattr(importlib.import_module(module), word, None)
    except Exception as error:
        raise ConfigurationError(f"--{kind} {name}: {said(error, source.path)}") from None
    _imported[module] = source
    if found is None:
        raise ConfigurationError(f"--{kind} {name}: {source.path} has no {word}; name a class that is there")
    if not (isinstance(found, type) and issubclass(found, base)):
        what = ", ".join(each.__name__ for each in found.__bases__) if isinstance(found, type) else "no class"
        raise ConfigurationError(
            f"--{kind} {name}: {word} is {'a ' if isinstance(found, type) else ''}{what}; expected a class derived "
            f"from {base.__module__}.{base.__name__}"
        )

    def build(*positional: Any, **named: Any) -> Any:
        try:
            return found(*positional, **named)
        except Exception as error:
            raise ConfigurationError(
                f"--{kind} {name}: cannot be built as {word}{arguments}: {said(error, source.path)}"
            ) from None

    return build


def sources(names: Iterable[tuple[str, str | None]], stored: Sequence[str]) -> tuple[str, ...] | None:
    """``module@checksum`` of every class among names of parts, given with their kinds; None if there is none.

    Raises:
        ConfigurationError: If a module is not trusted, has changed or is not found.
    """
    own = [(kind, name) for kind, name in names if name is not None and is_own(name)]
    found = {source.module: source.checksum for source in (_source(kind, name, stored) for kind, name in own)}
    return tuple(f"{module}@{checksum}" for module, checksum in sorted(found.items())) or None


def imported(stored: Iterable[str]) -> list[Source]:
    """The files behind ``module@checksum``, as they were when this process imported them."""
    modules = [each.partition("@")[0] for each in stored]
    return [_imported[module] for module in modules if module in _imported]


def said(error: Exception, path: Path) -> str:
    """An error of somebody's own code in a line: where in the file it came from, its type and first line."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"{path.name}:{lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _trusted() -> list[str]:
    return [word.strip() for word in os.environ.get(TRUST, "").split(",") if word.strip()]


def _source(kind: str, name: str, stored: Sequence[str]) -> Source:
    """The file of a trusted module; nothing is executed."""
    module = name.partition(":")[0]
    expected = next((each.partition("@")[2] for each in stored if each.partition("@")[0] == module), "")
    words = [word.partition("@")[2] for word in _trusted() if word.partition("@")[0] == module]
    if not words:
        trained = f" (SHA-256 {expected[:12]} when the model was trained)" if expected else ""
        raise ConfigurationError(
            f"--{kind} {name}: the code of module {module}{trained} was not typed and is not trusted; to run it, pass "
            f'--trust {module}, trust=["{module}"] to pyro_vrnn.load, or set {TRUST}={module}'
        )
    source = _found(kind, name, module)
    if not any(source.checksum.startswith(word or expected) for word in words):
        raise ConfigurationError(
            f"--{kind} {name}: {source.path} has changed (SHA-256 {source.checksum[:12]}, expected "
            f"{(expected or words[0])[:12]}); put it back (model folders keep it in sources/), or pass --trust "
            f"{module}@{source.checksum[:12]}"
        )
    if module in _imported and _imported[module].text != source.text:
        raise ConfigurationError(
            f"--{kind} {name}: {source.path} has changed since this process imported it; begin a new one"
        )
    return source


def _found(kind: str, name: str, module: str) -> Source:
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)  # at the end: a file of the working directory replaces no installed module
    importlib.invalidate_caches()
    path, spec, words = None, None, module.split(".")
    for count in range(1, len(words) + 1):  # importlib.util.find_spec would import the packages above
        spec = PathFinder.find_spec(".".join(words[:count]), path)
        if spec is None:
            break
        path = spec.submodule_search_locations
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigurationError(
            f"--{kind} {name}: no file of module {module} found; expected {module.replace('.', '/')}.py in the working "
            f"directory {here}, or on PYTHONPATH"
        )
    file = Path(spec.origin)
    return Source(module, file, file.read_bytes())


__all__ = [
    "CONTRACTS",
    "TRUST",
    "Source",
    "builder",
    "check_name",
    "imported",
    "is_own",
    "said",
    "sources",
    "trust",
    "trust_typed",
]
