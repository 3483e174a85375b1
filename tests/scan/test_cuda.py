"""What CUDA graphs ask of a recorder."""

import pytest
import torch

from pyro_vrnn.scan import cuda


def test_nothing_is_recorded_on_a_cpu():
    assert cuda.recorder(torch.device("cpu")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recording_is_made_on_the_default_stream_alone_and_never_inside_another():
    device = torch.device("cuda", 0)
    assert cuda.recorder(device) is not None
    side = torch.cuda.Stream(device)
    with torch.cuda.stream(side):
        assert cuda.recorder(device) is None
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        assert cuda.recorder(device) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_after_a_recording_that_broke_everything_still_draws():
    record = cuda.Graphs(torch.device("cuda", 0))
    before = torch.cuda.current_stream()
    with pytest.raises(RuntimeError):
        record(lambda: torch.randn(3, device="cuda").sum().item() if torch.cuda.is_current_stream_capturing() else 0.0)
    assert torch.cuda.current_stream() == before
    torch.randn(3, device="cuda")
    launch = record(lambda: torch.randn(3, device="cuda"))
    assert not torch.equal(launch().clone(), launch())
