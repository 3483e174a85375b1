"""A trained model as a folder that loads anywhere: weights, configuration and what the data were."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from pyro_vrnn.errors import TrackingError, first_line
from pyro_vrnn.inference.noise import own_noise
from pyro_vrnn.model import own
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import Past
from pyro_vrnn.model.stream import Stream
from pyro_vrnn.model.variants import build
from pyro_vrnn.training.config import Config, read
from pyro_vrnn.training.files import write_whole
from pyro_vrnn.training.objective import PROGRAMS

WEIGHTS, CONFIG, DATA = "model.safetensors", "config.toml", "data.json"

#: The folder in it for the source of parts of one's own: to be read, never executed.
SOURCES = "sources"


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that is needed to use it.

    Attributes:
        net: The parts.
        config: What it was trained with.
        data: What its data were: ``mean`` and ``std`` of the standardisation, ``sample_rate``, ``frame``, ``lsb``,
            ``checksum`` and counts.
    """

    net: VRNN
    config: Config
    data: dict[str, Any]

    def programs(self, name: str = "sequence") -> tuple[torch.nn.Module, torch.nn.Module]:
        """Pyro's model and guide over the network: the ``sequence`` or the ``markov`` program."""
        module = PROGRAMS[name]
        return module.Model(self.net), module.Guide(self.net)

    def stream(
        self,
        batch_shape: tuple[int, ...] = (),
        *,
        past: Past | None = None,
        temperature_z: float = 1.0,
        temperature_x: float = 1.0,
    ) -> Stream:
        """The model frame by frame, from the state ``past`` on: see :class:`~pyro_vrnn.model.stream.Stream`."""
        return Stream(self.net, batch_shape, past=past, temperature_z=temperature_z, temperature_x=temperature_x)


def save_model(folder: Path, net: VRNN, config: Config, data: dict[str, Any]) -> None:
    """Writes the folder; each file is whole or not there.

    Args:
        folder: Where; made if it does not exist.
        net: Its parameters.
        config: An explicit configuration.
        data: What the corpus says of itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    for source in own.imported(config.model.sources or ()):
        (folder / SOURCES).mkdir(exist_ok=True)
        write_whole(folder / SOURCES / f"{source.module}.py", source.text)
    write_whole(folder / CONFIG, config.toml().encode())
    write_whole(folder / DATA, json.dumps(data, indent=2).encode())
    write_whole(folder / WEIGHTS, save(weights, {"format": "pt"}))


def load_model(folder: Path) -> TrainedModel:
    """Reads a folder that :func:`save_model` wrote. Nothing in it is executed.

    Args:
        folder: The folder.

    Raises:
        TrackingError: If a file is missing, damaged or does not fit the others.
        ConfigurationError: If the configuration has no meaning for this version, or a part is of a module that is not
            trusted (:func:`pyro_vrnn.model.own.trust`) or has changed.
    """
    for name in (CONFIG, DATA, WEIGHTS):
        if not (folder / name).is_file():
            raise TrackingError(
                f"{folder}: no {name} there; expected a model folder with {CONFIG}, {DATA} and {WEIGHTS}"
            )
    config = read(folder / CONFIG)
    try:
        data = json.loads((folder / DATA).read_bytes())
        with own_noise(torch.device("cpu")):
            net = build(config.model, int(data["frame"]), data)
        net.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, ValueError, KeyError, RuntimeError, OSError) as error:
        raise TrackingError(f"{folder}: damaged, or not of this configuration ({first_line(error)})") from None
    return TrainedModel(net, config, data)
