"""Runs as a store would give them, without a store."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from pyro_vrnn.comparison.runs import Scored
from pyro_vrnn.inference.results import Estimate, Kind, Scale
from pyro_vrnn.training.config import read

KINDS = {"exact": Kind.EXACT, "elbo": Kind.BOUND, "iwae": Kind.CONSISTENT, "stepwise": Kind.ESTIMATE}


@pytest.fixture
def made() -> Callable[..., Scored]:
    """Makes a run of made-up numbers."""
    return make


def make(
    variant: str,
    seed: int,
    nats: Mapping[str, Sequence[float]],
    *,
    settings: Sequence[str] = (),
    checksum: str = "a" * 64,
    std: float | list[float] = 0.5,
    names: Sequence[str] | None = None,
    frame: int = 4,
    frames: int = 10,
    lsb: float | None = 0.25,
    name: str = "folder",
) -> Scored:
    """A run with these nats of each test sequence."""
    config = read(
        None, {"data": {"source": "folder"}}, (*settings, f"model.variant={variant}", f"training.seed={seed}")
    )
    config = config.explicit(frame)
    count = len(next(iter(nats.values())))
    std_lsb = None if lsb is None or isinstance(std, list) else std / lsb
    scale = Scale(frame, std_lsb, config.data.dither)
    estimates = [
        Estimate(
            key, KINDS.get(key.partition("_")[0], Kind.EXACT), np.asarray(values, float), np.full(count, frames), scale
        )
        for key, values in {**nats, "iid_gaussian": [-50.0] * count}.items()
    ]
    data: dict[str, Any] = {
        "name": f"/some/{name}",
        "checksum": checksum,
        "frame": frame,
        "sample_rate": 8000,
        "lsb": lsb,
        "dither": config.data.dither,
        "std": std,
        "test_sequences": count,
    }
    results = {
        "data": data,
        "parameters": {"phi_x": 1000, "emission": 234},
        "completed": True,
        "results": {each.name: each.as_dict() for each in estimates},
    }
    return Scored(
        id=f"{abs(hash((variant, seed, tuple(settings)))):032x}"[:32],
        name=f"{variant}-{seed}",
        started=f"2026-01-0{seed + 1}",
        config=config,
        results=results,
        sequences=list(names or map(str, range(count))),
        nats={each.name: each.nats for each in estimates},
    )
