"""Frames of one long sequence that are read when they are asked for. Torch is loaded then, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .joining import Joined
    from .sequences import Sequences


class LazyFrames:
    """What `x` of a batch of one sequence would be, `(1, T, frame)`, in pieces: `lazy[:, a:b]` reads frames a to b.

    Args:
        sequences: Where they come from; a dither's draw is 0.
        index: Which sequence.
    """

    def __init__(self, sequences: Sequences | Joined, index: int) -> None:
        self._sequences, self._index = sequences, index

    @property
    def shape(self) -> torch.Size:
        """`(1, T, frame)`."""
        import torch

        return torch.Size((1, int(self._sequences.lengths[self._index]), self._sequences.frame))

    @property
    def dtype(self) -> torch.dtype:
        """That of the pieces."""
        import torch

        return torch.float32

    def __getitem__(self, key: tuple[slice, slice]) -> torch.Tensor:
        """A piece, `(1, b - a, frame)`, equal to that slice of the whole.

        Raises:
            TypeError: `key` is anything but `[:, a:b]`.
        """
        import torch

        if not (isinstance(key, tuple) and len(key) == 2 and all(isinstance(part, slice) for part in key)):
            raise TypeError(f"frames[{key!r}]: these frames are read in pieces; expected frames[:, a:b]")
        batch, frames = key
        if batch != slice(None) or frames.step not in (None, 1):
            raise TypeError(f"frames[{batch}, {frames}]: these frames are read in pieces; expected frames[:, a:b]")
        return torch.from_numpy(self._sequences.read(self._index, frames.start or 0, frames.stop))[None]

    def __repr__(self) -> str:
        return f"LazyFrames{tuple(self.shape)}"
