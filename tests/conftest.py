"""What every test starts from: double precision, a fixed seed, an empty parameter store."""

import gc
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pyro
import pytest
import torch

from pyro_vrnn.model import own
from pyro_vrnn.model.variants import VARIANTS

# The matrices are tiny, and threads that wait for each other on busy cores take longer than one that does not.
torch.set_num_threads(1)
# A shell starts what it puts in the background deaf to Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Collected tests and modules are there to stay; searching them for garbage takes a seventh of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """Every row of the table."""
    return request.param


@pytest.fixture(params=[name for name, row in VARIANTS.items() if row.prior])
def latent_variant(request: pytest.FixtureRequest) -> str:
    """Every row with latents."""
    return request.param


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings and pen strokes, which live beside the repository and not in it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data: ../shared/data is missing")
    return folder


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    """Writes ``my_parts.py`` into the working directory, trusted by nobody; the docs' class unless a text is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(own.TRUST, "")

    def forget() -> None:
        sys.modules.pop("my_parts", None)
        own._imported.pop("my_parts", None)

    def write(text: str | None = None) -> Path:
        forget()
        example = Path(__file__).parents[1] / "docs" / "examples" / "my_parts.py"
        (tmp_path / "my_parts.py").write_text(example.read_text() if text is None else text)
        return tmp_path / "my_parts.py"

    yield write
    forget()
