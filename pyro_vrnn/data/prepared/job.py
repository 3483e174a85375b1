"""What is asked of a preparation, and what there is to prepare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..options import DataOptions
from .corpora import Plan, Recipe
from .reading import Listed


@dataclass(frozen=True)
class Job:
    """One preparation.

    Attributes:
        corpus: What the source is.
        recipe: How that is prepared.
        options: How it is read and split, with the corpus's own defaults.
        asked: The same as the manifest keeps it: two of equal values over the same files give the same bytes.
        root: The source's folder.
        plan: What the corpus makes of it.
        files: Those to be read, as they are now.
        seed: Of what is drawn.
    """

    corpus: str
    recipe: Recipe
    options: DataOptions
    asked: Mapping[str, Any]
    root: Path
    plan: Plan
    files: Sequence[Listed]
    seed: int
