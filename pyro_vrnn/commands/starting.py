"""How a training becomes a run of the store."""

import time
from pathlib import Path

from pyro_vrnn.commands.linked import datasets
from pyro_vrnn.data import Corpus
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import parameters_per_part
from pyro_vrnn.tracking import TrackedRun, provenance
from pyro_vrnn.training.config import Config
from pyro_vrnn.training.device import name_of
from pyro_vrnn.training.identity import identity


def start(config: Config, corpus: Corpus, net: VRNN, uri: str) -> TrackedRun:
    """A run with the tags and parameters that the interface groups and compares by.

    Args:
        config: The configuration, every default written out.
        corpus: The data.
        net: The model, where it trains.
        uri: The store.

    Raises:
        TrackingError: If there is no store, or it takes no run.
    """
    name = Path(corpus.name).name or corpus.name
    model = config.model
    tags = {
        **(config.tracking.tags or {}),
        "configuration": identity(config, corpus.checksum),
        "variant": model.variant,
        "preset": model.preset,
        "prior": model.prior or "none",
        "guide": model.guide or "none",
        "emission": model.emission or "",
        "recurrence": model.recurrence,
        "objective": config.training.objective,
        "data": name,
        "data.checksum": corpus.checksum,
        "seed": str(config.training.seed),
        "device": name_of(next(net.parameters()).device),
        **provenance(),
    }
    counts = {f"parameters.{part}": count for part, count in parameters_per_part(net).items()}
    return TrackedRun.start(
        uri=uri,
        experiment=config.tracking.experiment,
        name=config.tracking.name or f"{model.variant}-{name}-s{config.training.seed}-{time.strftime('%m%d-%H%M%S')}",
        # A part that a model does not have is a value of its own: the UI draws what is missing above the largest.
        parameters={
            **dict.fromkeys(("model.prior", "model.guide", "model.guide_base"), "none"),
            **dict.fromkeys(("model.guide_steps", "model.prior_components", "model.emission_components"), 0),
            **{f"model.{part}_width": 0 for part in ("prior", "guide", "phi_z")},
            **config.kept().flat(),
            **counts,
            "parameters.all": sum(counts.values()),
        },
        tags=tags,
        parent=config.tracking.parent,
        datasets=list(datasets(corpus).values()),
    )
