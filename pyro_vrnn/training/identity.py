"""When two runs are the same run."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyro_vrnn
from pyro_vrnn.data.options import EMBEDDED
from pyro_vrnn.model.variants import ALIASES
from pyro_vrnn.training.config import Config

#: What decides where or how thriftily a run is computed, not what.
WHERE = {"device", "devices", "nodes", "checkpoint_every"}


def identity(config: Config, checksum: str) -> str:
    """A name for what a run computes: equal for equal explicit configurations on equal data.

    Not part of it are the store, the run's name and tags, the devices, and the path of a folder of data, for which its
    checksum stands. A list of test files is taken by its contents. Of the package's version the first two numbers
    count: a release that changes only the third leaves what was computed before as it is.

    Args:
        config: An explicit configuration.
        checksum: Of the data.

    Returns:
        32 hexadecimal digits.

    Raises:
        OSError: If a list of test files cannot be read.
    """
    rooms: dict[str, dict[str, Any]] = config.model_dump(mode="json", exclude={"tracking"}, exclude_none=True)
    rooms["model"]["variant"] = ALIASES.get(config.model.variant, config.model.variant)
    for name in WHERE:
        rooms["training"].pop(name, None)
    if config.data.source not in EMBEDDED:
        rooms["data"].pop("source")
    if config.data.test_list is not None:
        rooms["data"]["test_list"] = hashlib.sha256(Path(config.data.test_list).read_bytes()).hexdigest()
    version = pyro_vrnn.__version__.split(".")[:2]
    said = json.dumps([rooms, checksum, version], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()[:32]
