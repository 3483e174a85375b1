"""Corpora: readers, splits, standardised frames and padded batches. Knows no model.

`load(DataOptions(source="recordings"), seed=0)` gives a `Corpus`; `batches(corpus.train, 32, shuffle=0)` its batches.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .batches import Batch, LongBatch, Share, batches, number_of_batches, scoring_batches, shares
from .following import followed_shares, plan_followed
from .joining import Joined, groups, runs
from .kinds import KINDS, WORDS, Kind
from .lazy import LazyFrames
from .options import EMBEDDED, LINEAR_GAUSSIAN, DataOptions

if TYPE_CHECKING:
    from .compression import flac_bits_per_sample
    from .corpus import Corpus, std_in_steps
    from .normaliser import Normaliser
    from .opening import load, look, read
    from .recordings import Skipped
    from .sequences import Sequences

__all__ = [
    "EMBEDDED",
    "KINDS",
    "LINEAR_GAUSSIAN",
    "WORDS",
    "Batch",
    "Corpus",
    "DataOptions",
    "Joined",
    "Kind",
    "LazyFrames",
    "LongBatch",
    "Normaliser",
    "Sequences",
    "Share",
    "Skipped",
    "batches",
    "flac_bits_per_sample",
    "followed_shares",
    "groups",
    "load",
    "look",
    "number_of_batches",
    "plan_followed",
    "read",
    "runs",
    "scoring_batches",
    "shares",
    "std_in_steps",
]

# Loaded on first use: they bring NumPy and libsndfile, which `--help` and the options do not need.
_LAZY = {
    "Corpus": "corpus",
    "flac_bits_per_sample": "compression",
    "load": "opening",
    "look": "opening",
    "read": "opening",
    "std_in_steps": "corpus",
    "Skipped": "recordings",
    "Normaliser": "normaliser",
    "Sequences": "sequences",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
