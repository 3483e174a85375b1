"""What a training step keeps of each frame until its backward pass has used it."""

import weakref
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pyro_vrnn.benchmark.steps import Case
from pyro_vrnn.benchmark.timing import WARM_UP


class Kept:
    """Counts what autograd saves for the backward pass, on a CPU.

    Graphs that an autograd function builds inside its own forward pass count as well, for the hooks are the thread's;
    tensors that one keeps beside any graph do not.
    """

    def __init__(self) -> None:
        self._saved: weakref.WeakSet[_Saved] = weakref.WeakSet()
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._save, lambda saved: saved.tensor)

    def _save(self, tensor: Tensor) -> "_Saved":
        saved = _Saved(tensor)
        self._saved.add(saved)
        return saved

    @property
    def bytes(self) -> int:
        """Of the storages that are still saved, each once however many views of it are."""
        storages = {saved.tensor.untyped_storage().data_ptr(): saved.tensor.untyped_storage() for saved in self._saved}
        return sum(storage.nbytes() for storage in storages.values())


class _Saved:
    """Lives as long as the graph that saved it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def bytes_per_step(make: Callable[[int], Case], program: Callable[[Case], nn.Module], frames: int) -> float:
    """Bytes that grow with the length, for one frame of one sequence: what 2 T frames take more than T.

    On CUDA it is the peak of the allocated memory over forward and backward pass; on a CPU what autograd has saved when
    the forward pass ends.

    Args:
        make: A case with so many frames a sequence.
        program: Its loss.
        frames: T.
    """
    measured = []
    for length in (frames, frames, 2 * frames):  # the first for what a library allocates once
        case = make(length)
        measured.append((_peak if case.device.type == "cuda" else _saved)(case, program(case)))
    return (measured[2] - measured[1]) / case.valid * 2


def _saved(case: Case, program: nn.Module) -> int:
    kept = Kept()
    with kept.hooks:
        loss = case.loss(program)
    assert loss.requires_grad, "nothing is saved without gradients"
    return kept.bytes


def _peak(case: Case, program: nn.Module) -> int:
    before = torch.cuda.memory_allocated(case.device)
    torch.cuda.reset_peak_memory_stats(case.device)
    for _ in range(WARM_UP["cuda"] + 1):  # a captured step keeps its memory from its capture on
        program.zero_grad()
        case.loss(program).backward()
    return torch.cuda.max_memory_allocated(case.device) - before
