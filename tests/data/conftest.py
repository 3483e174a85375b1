from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyro_vrnn.errors import DataError

from .files import Refused
from .prepared import clips


@pytest.fixture
def refused() -> Refused:
    """A context in which a DataError of one line is raised that holds all of some texts."""

    @contextmanager
    def context(*parts: str) -> Iterator[None]:
        with pytest.raises(DataError) as caught:
            yield
        message = str(caught.value)
        assert "\n" not in message
        for part in parts:
            assert part in message

    return context


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return clips(tmp_path / "clips")
