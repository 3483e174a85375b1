"""Work on a GPU recorded once and launched as one: CUDA graphs."""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, TypeVar
from weakref import WeakSet

import torch

Made = TypeVar("Made")
#: Runs before the recorded one, in which libraries choose their algorithms and take their workspaces.
WARM_UPS = 2


class Recorder(Protocol):
    """Records work on tensors."""

    def __call__(self, work: Callable[[], Made]) -> Callable[[], Made]:
        """Records work.

        Args:
            work: The same operations on the same memory whenever it is called.

        Returns:
            What does it again, and gives what it gave, in memory that is the same each time.

        Raises:
            RuntimeError: If the work cannot be recorded.
        """


class Graphs:
    """Records CUDA graphs on one device.

    The graphs share one pool of memory. What a graph gives is held by its tensors, and its temporaries lie where other
    graphs of the pool have theirs: launches must follow each other, on one stream. The generator of the device
    counts on: what is drawn in a graph differs from launch to launch, and is what its operations would have drawn.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()

    def __call__(self, work: Callable[[], Made]) -> Callable[[], Made]:
        """As :class:`Recorder` says."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        # On the stream of the recording, and in its thread: workspaces belong to both.
        with torch.random.fork_rng([self.device]), torch.cuda.stream(self.stream):
            for _ in range(WARM_UPS):
                work()
        current.wait_stream(self.stream)
        if not self._alive:  # a pool dies with its last graph
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads copy batches meanwhile: only what this one does may break a recording.
            with torch.cuda.graph(graph, pool=self._pool, stream=self.stream, capture_error_mode="thread_local"):
                made = work()
        except RuntimeError:
            self._recover(current)
            raise
        self._alive.add(graph)

        def launch() -> Made:
            graph.replay()
            return made

        return launch

    def _recover(self, current: torch.cuda.Stream) -> None:
        """A recording that broke leaves its stream behind, and a generator that waits for the recording's end."""
        torch.cuda.set_stream(current)
        generator = torch.cuda.default_generators[current.device_index]
        generator.graphsafe_set_state(generator.clone_state())


def recorder(device: torch.device) -> Recorder | None:
    """What records on a device; None where nothing should be recorded.

    That is where there are no graphs, where the work is part of somebody else's graph already, or on a stream beside
    the default one, whose launches would not follow those on it.
    """
    if device.type != "cuda" or torch.cuda.is_current_stream_capturing():
        return None
    if torch.cuda.current_stream(device) != torch.cuda.default_stream(device):
        return None
    return _graphs(device)


_graphs = lru_cache(Graphs)
