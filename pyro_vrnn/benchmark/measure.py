"""One variant on this machine, against its floors and its peers in the same run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyro
import torch

from pyro_vrnn.benchmark.floor import gemm_operations
from pyro_vrnn.benchmark.machine import GemmRate, cache_bandwidth, l2_bytes, memory_bandwidth
from pyro_vrnn.benchmark.memory import bytes_per_step
from pyro_vrnn.benchmark.shares import shares
from pyro_vrnn.benchmark.steps import Case
from pyro_vrnn.benchmark.timing import interleaved
from pyro_vrnn.benchmark.traffic import loop_weights, traffic_seconds
from pyro_vrnn.model.variants import ModelOptions
from pyro_vrnn.training.device import Precision, keep_freed_memory, name_of
from pyro_vrnn.training.objective import Elbo


class Machine:
    """A device with what it can do at best, measured when it is made.

    Args:
        precision: Of the products, and where.
    """

    def __init__(self, precision: Precision) -> None:
        keep_freed_memory()  # as fit does; the peers profit as well
        self.precision, self.device = precision, precision.device
        self.dtype = torch.bfloat16 if precision.name == "bf16" else torch.float32
        with precision.products():
            self.gemm = GemmRate(self.device, self.dtype)
        self.l2, on_cpu = l2_bytes(self.device), self.device.type == "cpu"
        self.bandwidths = None if on_cpu else (cache_bandwidth(self.device), memory_bandwidth(self.device))

    def floor_of_traffic(self, weights: int, frames: int) -> float | None:
        """Seconds to read a loop's weights as often as it must; None on a CPU, whose caches are not asked."""
        if self.bandwidths is None:
            return None
        (fast, slow), held = self.bandwidths, weights * self.dtype.itemsize
        return traffic_seconds(held, frames, fast if held <= self.l2 else slow)

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
        cache, memory = self.bandwidths or (None, None)
        return {
            "device": self.name,
            "precision": self.precision.name,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "gemm_operations_per_second": self.gemm.best,
            "gemm_side": self.gemm.side,
            "l2_bytes": self.l2 or None,
            "l2_bytes_per_second": cache,
            "memory_bytes_per_second": memory,
        }

    def line(self) -> str:
        """The machine and what it does at best, in words."""
        line = (
            f"device {self.name}, {torch.get_num_threads()} threads, torch {torch.__version__}; best product"
            f" {self.gemm.best / 1e9:,.0f} GFLOP/s ({self.precision.name}, side {self.gemm.side})"
        )
        if self.bandwidths is None:
            return line
        cache, memory = (rate / 1e9 for rate in self.bandwidths)
        return f"{line}; L2 cache {cache:,.0f} GB/s, memory {memory:,.0f} GB/s"

    @property
    def name(self) -> str:
        """The device in words."""
        return name_of(self.device)


@dataclass(frozen=True)
class Measurement:
    """What was found of a variant.

    Attributes:
        variant: Its name.
        batch: Sequences in a step.
        frames: Frames a sequence.
        seconds: Medians of a training step, by way (``ours``, ``plain``, ``markov``, ``tensors``).
        gemm_floor: Seconds of the step's matrix products at the best rate of the same rounds.
        traffic_floor: Seconds to read the loop's weights; None on a CPU.
        shares: Percent of a step in each part, 100 together.
        bytes_per_step: Kept of one frame of one sequence until the backward pass; None where it was not asked for.
    """

    variant: str
    batch: int
    frames: int
    seconds: dict[str, float]
    gemm_floor: float
    traffic_floor: float | None
    shares: dict[str, float] | None = None
    bytes_per_step: float | None = None

    @property
    def frames_per_second(self) -> float:
        """Of ours."""
        return self.batch * self.frames / self.seconds["ours"]

    @property
    def over_gemm(self) -> float:
        """Ours over the floor of its products."""
        return self.seconds["ours"] / self.gemm_floor

    @property
    def over_traffic(self) -> float | None:
        """Ours over the floor of its traffic."""
        return None if self.traffic_floor is None else self.seconds["ours"] / self.traffic_floor

    @property
    def over_floor(self) -> float:
        """Ours over the larger of both."""
        return min(ratio for ratio in (self.over_gemm, self.over_traffic) if ratio is not None)

    def over_ours(self, way: str) -> float | None:
        """Another way over ours; None where it was not run."""
        return self.seconds[way] / self.seconds["ours"] if way in self.seconds else None

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
        return {
            "variant": self.variant,
            "batch": self.batch,
            "frames": self.frames,
            "frames_per_second": self.frames_per_second,
            "seconds": self.seconds,
            "gemm_floor_seconds": self.gemm_floor,
            "traffic_floor_seconds": self.traffic_floor,
            "over_gemm_floor": self.over_gemm,
            "over_traffic_floor": self.over_traffic,
            "over_floor": self.over_floor,
            **{f"{way}_over_ours": self.over_ours(way) for way in self.seconds if way != "ours"},
            "shares_percent": self.shares,
            "bytes_per_step": self.bytes_per_step,
        }


def race(
    case: Case, machine: Machine, ways: tuple[str, ...], repeats: int, told: Callable[[int], None] = lambda done: None
) -> Measurement:
    """Times ways to train a case in turn with each other and with the machine's best product.

    Args:
        case: What is trained.
        machine: Of the same device and precision.
        ways: As of :meth:`~pyro_vrnn.benchmark.steps.Case.ways`; ``ours`` among them.
        repeats: Rounds that count.
        told: Told of the rounds that are done.
    """
    batch, frames = case.mask.shape
    with machine.precision.products(), pyro.validation_enabled(False):
        taken = interleaved({"gemm": machine.gemm.again, **case.ways(ways)}, repeats, case.device, told)
    rate = machine.gemm.operations / taken.pop("gemm")
    return Measurement(
        case.options.variant,
        batch,
        frames,
        taken,
        gemm_operations(case.net, batch, frames) / rate,
        machine.floor_of_traffic(loop_weights(case.net), frames),
    )


def measure(
    options: ModelOptions,
    batch: int,
    frames: int,
    machine: Machine,
    *,
    peers: bool = True,
    repeats: int = 5,
    told: Callable[[int], None] = lambda done: None,
) -> Measurement:
    """Everything there is to know of a variant's speed.

    Args:
        options: The model.
        batch: Sequences in a step.
        frames: Frames a sequence.
        machine: Where.
        peers: Whether the plain PyTorch peer and the markov program run as well.
        repeats: Rounds that count.
        told: Told of the rounds that are done.

    Raises:
        ConfigurationError: If the options have no meaning.
    """

    def case_of(length: int) -> Case:
        return Case(options, batch, length, machine.precision)

    case = case_of(frames)
    found = race(case, machine, ("ours", "plain", "markov") if peers else ("ours",), repeats, told)
    with machine.precision.products(), pyro.validation_enabled(False):
        parts = shares(case, repeats)
        kept = bytes_per_step(case_of, lambda case: Elbo(case.net), frames)
    return replace(found, shares=parts, bytes_per_step=kept)
