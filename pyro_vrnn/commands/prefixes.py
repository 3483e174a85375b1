"""What a run calls the numbers of each part and of other data: the same for all commands that add some to it."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def prefix(part: str, options: Mapping[str, Any]) -> str:
    """What stands before the slash of a metric's name.

    Args:
        part: Of the run's own data.
        options: Of the data room, as they were given; with ``source`` among them the numbers are of these data.

    Returns:
        ``test``; ``train-best`` or ``validation-best``; ``data-NAME-DIGEST``.
    """
    if "source" in options:
        return _data_name(Path(options["source"]).resolve())
    # Names of their own where the run has histories: train/ and validation/ are curves over its steps.
    return part if part == "test" else f"{part}-best"


def _data_name(source: Path) -> str:
    """A name for other data, short and not that of another folder of the same name."""
    return f"data-{source.name[:40]}-{hashlib.sha256(os.fsencode(source)).hexdigest()[:6]}"
