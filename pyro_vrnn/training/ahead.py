"""Batches on the device, made while it works."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from pyro_vrnn.data import Share

#: Batches that are made before they are asked for.
AHEAD = 2

_Item = TypeVar("_Item")


class Ready(NamedTuple):
    """A batch where it is wanted.

    Attributes:
        x: Frames, ``(B, T, X)``, on the device.
        mask: True for frames, ``(B, T)``, on the device.
        frames: How many are valid in the whole batch, over all processes.
        resets: Which rows begin anew, ``(B,)``, on the device; None where rows do not follow recordings.
    """

    x: Tensor
    mask: Tensor
    frames: int
    resets: Tensor | None = None


def ahead(shares: Iterable[Share], device: torch.device) -> Generator[Ready]:
    """The batches, in their order, on the device.

    For CUDA a thread collates, pins and copies, on a stream of its own. On a CPU it would take turns with what trains:
    measured, it gains nothing there, and there is none.

    Args:
        shares: This process's rows of the batches; each is made when it is taken.
        device: Where to.
    """
    if device.type == "cuda":
        return _received(shares, device)
    return (Ready(batch.x, batch.mask, frames, resets) for batch, frames, resets in shares)


def in_thread(items: Iterable[_Item]) -> Generator[_Item]:
    """The items, in their order, taken by one thread that is at most :data:`AHEAD` of them ahead.

    What the thread raises is raised here, where the item was due. The thread ends with the generator, whether that
    comes to its end or is closed or dropped before.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "batches") as thread:
        taken: deque[Future[_Item | None]] = deque(thread.submit(next, source, None) for _ in range(AHEAD))
        try:
            while (item := taken.popleft().result()) is not None:
                taken.append(thread.submit(next, source, None))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)


def _received(shares: Iterable[Share], device: torch.device) -> Generator[Ready]:
    with closing(in_thread(_sent(shares, device))) as sent:
        for ready, arrived in sent:
            stream = torch.cuda.current_stream(device)
            stream.wait_event(arrived)
            for tensor in (ready.x, ready.mask, ready.resets):
                if tensor is None:
                    continue
                tensor.record_stream(stream)  # else its memory is the copying stream's again while it is still read
            yield ready


def _sent(shares: Iterable[Share], device: torch.device) -> Iterator[tuple[Ready, torch.cuda.Event]]:
    stream = torch.cuda.Stream(device)
    for batch, frames, resets in shares:
        with torch.cuda.stream(stream):
            x, mask, anew = (
                None if tensor is None else tensor.pin_memory().to(device, non_blocking=True)
                for tensor in (batch.x, batch.mask, resets)
            )
            assert x is not None
            assert mask is not None
            ready, arrived = Ready(x, mask, frames, anew), stream.record_event()
        yield ready, arrived
