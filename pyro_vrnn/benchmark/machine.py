"""What this machine can do at best: products of large matrices, and reading memory again and again."""

import torch

from pyro_vrnn.benchmark.timing import seconds

#: Sides of the square products whose best rate is the machine's.
SIDES = (1024, 2048, 4096)
#: Work queued between two looks at the clock on CUDA, where one kernel takes no longer than to launch it.
QUEUED = 20


class GemmRate:
    """Operations a second of square matrix products.

    Args:
        device: Where.
        dtype: Of the matrices.
        sides: Sides of the products that are tried.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, sides: tuple[int, ...] = SIDES) -> None:
        self.device, self.dtype = device, dtype
        self.queued = QUEUED if device.type == "cuda" else 1
        rates = {}
        for side in sides:
            self.side = side
            a = torch.randn(side, side, device=device).to(dtype)
            rates[side] = max(self._rate(a) for _ in range(4))
        self.side = max(rates, key=rates.__getitem__)
        self.best = rates[self.side]
        self._a = torch.randn(self.side, self.side, device=device).to(dtype)

    @property
    def operations(self) -> int:
        """Of one :meth:`again`."""
        return 2 * self.side**3 * self.queued

    def again(self) -> None:
        """Computes the product of the side that was fastest once more, in turn with what it is compared to."""
        self._multiply(self._a)

    def _rate(self, a: torch.Tensor) -> float:
        return self.operations / seconds(lambda: self._multiply(a), self.device)

    def _multiply(self, a: torch.Tensor) -> None:
        for _ in range(self.queued):
            torch.mm(a, a)


def l2_bytes(device: torch.device) -> int:
    """Bytes of the device's L2 cache; 0 where it is not known."""
    if device.type != "cuda":
        return 0
    return int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0))


def bandwidth(device: torch.device, size: int) -> float:
    """Bytes a second at best over a buffer that is gone through again and again, reading it or scaling it in place.

    Args:
        device: Where.
        size: Bytes of the buffer: what fits a cache stays there.
    """
    a = torch.ones(max(size // 4, 1), dtype=torch.float32, device=device)
    touched = a.numel() * a.element_size()

    def read() -> None:
        for _ in range(QUEUED):
            a.sum()

    def scale() -> None:
        for _ in range(QUEUED):
            a.mul_(1.0)

    taken = {way: min(seconds(way, device) for _ in range(4)) for way in (read, scale)}
    return QUEUED * touched * max(1 / taken[read], 2 / taken[scale])


def cache_bandwidth(device: torch.device) -> float:
    """Bytes a second of the L2 cache, from buffers of an eighth to half of it: small ones wait for their launch."""
    return max(bandwidth(device, l2_bytes(device) // part) for part in (8, 4, 2))


def memory_bandwidth(device: torch.device) -> float:
    """Bytes a second of the device's memory, from a buffer that no cache holds."""
    return bandwidth(device, max(8 * l2_bytes(device), 2**28))
