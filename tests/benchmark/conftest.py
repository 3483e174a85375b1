"""Cases of a few units."""

from collections.abc import Callable

import pytest
import torch

from pyro_vrnn.benchmark.steps import Case
from pyro_vrnn.model.variants import ModelOptions
from pyro_vrnn.training.device import Precision

WIDTHS = {f"{part}_width": 6 for part in ("phi_x", "phi_z", "guide", "prior", "emission")}


@pytest.fixture
def case() -> Callable[..., Case]:
    """Makes a case of 3 sequences of so many frames."""
    torch.set_default_dtype(torch.float32)

    def make(variant: str = "vrnn-gauss", frames: int = 5, precision: str = "float32") -> Case:
        options = ModelOptions(variant=variant, h=8, z=2, depth=1, **WIDTHS)
        return Case(options, 3, frames, Precision(precision, torch.device("cpu")))

    return make
