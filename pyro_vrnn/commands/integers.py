"""Whether data are the integers that a model's emission gives probabilities to."""

from pyro_vrnn.data import Sequences
from pyro_vrnn.errors import DataError
from pyro_vrnn.model.discrete import grid_of
from pyro_vrnn.training.saving import TrainedModel


def check_bits(source: str, *parts: Sequences) -> None:
    """Sees that stored values are 0 and 1.

    Raises:
        DataError: If one is not.
    """
    for part in parts:
        for i, name in enumerate(part.names):
            stored = part.samples(i)
            if not ((stored == 0) | (stored == 1)).all():
                other = stored[(stored != 0) & (stored != 1)].flat[0]
                raise DataError(
                    f"{source}: {name} holds {other}; --emission bernoulli expects values 0 and 1, use gaussian or dmol"
                )


def check_integers(
    trained: TrainedModel, source: str, lsb: float | None, lossless: bool, dither: bool, sequences: Sequences
) -> None:
    """Sees that other data have the integers of those that the model was trained on, where its emission is of these.

    Args:
        trained: The model.
        source: The other data's name.
        lsb: Amplitude of one step of their integers; None for floats.
        lossless: Whether they are the source's own.
        dither: Whether noise is added.
        sequences: The data.

    Raises:
        UserError: If they have not.
    """
    emission = trained.config.model.emission
    if emission not in ("bernoulli", "dmol"):
        return
    own = grid_of(emission, trained.data)
    if grid_of(emission, {**trained.data, "lsb": lsb, "lossless": lossless, "dither": dither}) != own:
        raise DataError(
            f"{source}: its integers are in steps of {lsb:.3g}; the model gives probabilities to steps of"
            f" {trained.data['lsb']:.3g}; convert the files to that size, or use a model with a density"
        )
    if emission == "bernoulli":
        check_bits(source, sequences)
