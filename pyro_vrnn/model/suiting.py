"""Which emission suits which kind of data."""

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.variants import OF_NO_PEN, PEN, ModelOptions, row


def suited(options: ModelOptions, kind: str) -> ModelOptions:
    """The same for data of this kind: on strokes of a pen a variant's emission is the pen's that stands for it.

    Args:
        options: The options.
        kind: ``audio``, ``pen`` or ``arrays``.

    Raises:
        ConfigurationError: If an emission was given that is not for such data, or a name is unknown.
    """
    emission = row(options).emission
    if kind == "pen" and options.emission is None and emission in PEN:
        return options.model_copy(update={"emission": PEN[emission]})
    if kind == "pen" and emission in OF_NO_PEN:
        raise ConfigurationError(
            f"--emission {emission}: not for strokes of a pen, which has continuous offsets and is up or down; leave it"
            f" out, or choose {PEN.get(emission, 'pen')}"
        )
    if kind != "pen" and emission in PEN.values():
        raise ConfigurationError(
            f"--emission {emission}: for strokes of a pen (dx, dy, pen), and the data are {kind}; leave it out, or"
            f" choose one of {', '.join(PEN)}"
        )
    return options
