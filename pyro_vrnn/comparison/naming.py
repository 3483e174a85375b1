"""What configurations are called beside each other."""

from collections.abc import Sequence
from typing import Any

from pyro_vrnn.comparison.runs import Scored
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.variants import PEN, VARIANTS, ModelOptions, row

#: What rows are called by only where nothing else separates them: sizes follow from the variant where they are matched.
SIZES = {
    *("model.h", "model.layers", "model.z", "model.depth", "model.sources"),
    *(f"model.{part}_width" for part in ("phi_x", "phi_z", "guide", "prior", "emission")),
}
#: Named by themselves, and only where they are not the variant's own.
PARTS = ("model.prior", "model.guide", "model.emission")

#: Options of which a part has its own value.
_TAKEN = ("guide_base", "guide_steps", "prior_components", "emission_components", "auxiliary")


def labels(groups: Sequence[Scored]) -> list[str]:
    """What to call configurations so that all names differ: the variant, and what else is not the same everywhere.

    Args:
        groups: A run of each.
    """
    flat = [_named(run) for run in groups]
    names = sorted({name for each in flat for name in each})
    changing = [name for name in names if len({str(each.get(name)) for each in flat}) > 1]
    found = []
    for each, run in zip(flat, groups, strict=True):
        words = [run.config.model.variant]
        words += [
            str(each[name]) if name in PARTS else f"{name.partition('.')[2]} {each[name]}"
            for name in changing
            if name in each and name != "model.variant" and name not in SIZES
        ]
        found.append(", ".join(words))
    return [
        ", ".join(
            [label, *(f"{name.partition('.')[2]} {each[name]}" for name in changing if name in each and name in SIZES)]
        )
        if found.count(label) > 1
        else label
        for label, each in zip(found, flat, strict=True)
    ]


def _named(run: Scored) -> dict[str, Any]:
    flat = {name: value for name, value in run.config.flat().items() if name.partition(".")[0] != "tracking"}
    flat = {name: value for name, value in flat.items() if name not in ("training.seed", "data.source")}
    own = VARIANTS[next(name for name in (run.config.model.variant, "vrnn-i", "vrnn-gauss") if name in VARIANTS)]
    for part in PARTS:
        usual = getattr(own, part.partition(".")[2])
        if flat.get(part) in (usual, PEN.get(usual)):
            flat.pop(part, None)
    # What parts take, and the weight of a cost beside the bound, are said where they are not its own.
    taken = _taken(run.config.model)
    return {name: value for name, value in flat.items() if name not in taken or value != taken[name]}


def _taken(model: ModelOptions) -> dict[str, Any]:
    """What the parts of a model take by themselves; nothing is known of parts that are not in the tables."""
    try:
        usual = row(model.model_copy(update=dict.fromkeys(_TAKEN)))
    except ConfigurationError:
        return {}
    own = {f"model.{kind}_{name}": value for kind, given in usual.arguments.items() for name, value in given.items()}
    return own | {"model.auxiliary": usual.auxiliary}
