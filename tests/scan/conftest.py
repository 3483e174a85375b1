"""Recorders: the GPU's own, and one that needs none."""

from typing import Any

import pytest
import torch

from pyro_vrnn.scan import cuda
from tests.scan.rerun import Rerun


class Recording:
    """The recorder in use, and how often it recorded and launched."""

    def __init__(self, recorder: Any) -> None:
        self.recorder, self.recorded, self.launched = recorder, 0, 0

    def __call__(self, work: Any) -> Any:
        self.recorded += 1
        launch = self.recorder(work)

        def counted() -> Any:
            self.launched += 1
            return launch()

        return counted


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return request.param


@pytest.fixture
def recording(device: str, monkeypatch: pytest.MonkeyPatch) -> Recording:
    recording = Recording(Rerun() if device == "cpu" else cuda.Graphs(torch.device("cuda", 0)))
    monkeypatch.setattr(cuda, "recorder", lambda _: recording)
    return recording
