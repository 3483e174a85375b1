"""How exact the matrix products of a benchmark are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from pyro_vrnn.errors import ConfigurationError

#: ``tf32``: CUDA's products of float32 numbers cut to 10 bits; ``bf16``: of bfloat16 numbers, by autocast.
Name = Literal["float32", "tf32", "bf16"]


class Precision:
    """How exact the products of a device are; what is stored is float32 always.

    Args:
        name: ``float32``, ``tf32`` or ``bf16``.
        device: Where.

    Raises:
        ConfigurationError: If the device has no such products.
    """

    def __init__(self, name: Name, device: torch.device) -> None:
        self.name, self.device = name, device
        if name == "tf32" and device.type == "cpu":
            raise ConfigurationError("--precision tf32: a CPU has no TF32; use float32 or bf16, or --device cuda")

    @contextmanager
    def products(self) -> Iterator[None]:
        """Around forward and backward pass."""
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("high" if self.name == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = self.name == "tf32"
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            torch.backends.cudnn.allow_tf32 = before[1]

    def autocast(self) -> torch.autocast:
        """Around the forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.name == "bf16")
