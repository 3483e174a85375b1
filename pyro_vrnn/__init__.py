"""Variational recurrent neural networks (Chung et al. 2015) in Pyro."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # Found when it is asked for, so that importing any room does not import all of them.
    if name == "load":
        return import_module("pyro_vrnn.loading").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
