"""What training runs on: the device, its random state, and how exact its matrix products are."""

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h

#: How exact matrix products are.
Products = Literal["float32", "tf32", "bf16"]


def device_named(name: str) -> torch.device:
    """The device that ``--device`` means; ``auto`` takes CUDA where there is one.

    Raises:
        ConfigurationError: If there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigurationError(f"--device {name}: unknown; choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"--device {name}: not supported; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; use --device cpu"
        )
    return device


def name_of(device: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def keep_freed_memory() -> None:
    """Has the C library keep what a step frees for the next one, where it would give it back to the system.

    A step allocates the same again, and the system hands out pages one by one: with 20 components of 200 values a third
    of a step went into that. Of other C libraries than glibc nothing is asked.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in ((_M_MMAP_THRESHOLD, 32 * 2**20), (_M_TRIM_THRESHOLD, 2**31 - 1)):
        mallopt(parameter, value)


def random_state(device: torch.device) -> Tensor:
    """The state of the generator that draws on this device; reading it does not wait for the device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Puts back what :func:`random_state` gave."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


class Precision:
    """How exact the matrix products of training are. What is stored (parameters, gradients, moments) is float32 always.

    Args:
        name: ``float32``; ``tf32``: products of float32 numbers whose mantissas are cut to 10 bits; ``bf16``: products
            of bfloat16 numbers, by autocast.
        device: Where.

    Raises:
        ConfigurationError: If the device has no such products.
    """

    def __init__(self, name: Products, device: torch.device) -> None:
        self.name, self.device = name, device
        if name == "tf32" and device.type == "cpu":
            raise ConfigurationError("--precision tf32: a CPU has no TF32; use float32 or bf16, or --device cuda")
        if name != "float32" and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
            raise ConfigurationError(f"--precision {name}: {name_of(device)} has none; use --precision float32")

    @contextmanager
    def products(self) -> Iterator[None]:
        """Around forward and backward: sets what CUDA's products of float32 numbers are, and puts it back.

        Torch allows TF32 in cuDNN unless told otherwise, so float32 is a setting, too.
        """
        if self.device.type != "cuda":
            yield
            return
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        _set_products("high" if self.name == "tf32" else "highest", self.name == "tf32")
        try:
            yield
        finally:
            _set_products(*before)

    def autocast(self) -> torch.autocast:
        """Around the forward pass: with ``bf16`` products take bfloat16 numbers, else nothing changes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.name == "bf16")


def _set_products(matmul: str, cudnn: bool) -> None:
    # Where it exists (torch 2.9), fp32_precision says the same of each backend, but while it differs from this setting
    # torch.compile refuses to work. Some versions in between warn of this one.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*TF32", category=UserWarning)
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = cudnn
