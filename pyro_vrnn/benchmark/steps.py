"""Training steps of ours and of the peers over the same batch: the same optimiser, clip and precision for all."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pyro_vrnn.benchmark.peers import plain_peer
from pyro_vrnn.benchmark.timing import Way
from pyro_vrnn.data.batches import Batch, collate
from pyro_vrnn.data.sequences import Normaliser, Sequences
from pyro_vrnn.model.draws import infer, read
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.strokes import POINT
from pyro_vrnn.model.suiting import suited
from pyro_vrnn.model.variants import ModelOptions, build
from pyro_vrnn.training.device import Precision
from pyro_vrnn.training.objective import Elbo

#: Samples a frame, as the presets of speech have them.
FRAME = 200
#: The preset whose data are points of a pen.
STROKES = "iam-ondb"
CLIP = 50.0
LEARNING_RATE = 1e-4

#: Told that a part of the step begins, and which tensors it reads.
Entered = Callable[[str, Sequence[Tensor]], None]


class Case:
    """A model, a batch of noise, and the ways to train the one on the other.

    Args:
        options: The model.
        batch: Sequences, B.
        frames: Frames a sequence, T; all are equally long.
        precision: Of the products, and where.

    Raises:
        ConfigurationError: If the options have no meaning.
    """

    def __init__(self, options: ModelOptions, batch: int, frames: int, precision: Precision) -> None:
        self.precision, self.device = precision, precision.device
        self.options, self.frame = fitting(options)
        self.net = build(self.options, self.frame).to(self.device)
        self.sequences = _noise(batch, frames, self.frame, self.net.binary)
        self.x, self.mask = self.on_device(self.collated())

    @property
    def valid(self) -> int:
        """Frames of the batch."""
        return self.x.shape[0] * self.x.shape[1]

    def collated(self) -> Batch:
        """The batch, as training makes it of stored samples."""
        return collate(self.sequences, np.arange(len(self.sequences)))

    def on_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Its frames and mask on the device."""
        return batch.x.to(self.device), batch.mask.to(self.device)

    def loss(self, program: nn.Module) -> Tensor:
        """The negative bound a frame, which is what is differentiated."""
        with self.precision.autocast():
            return program(self.x, self.mask) / self.valid

    def step(self, program: nn.Module) -> Way:
        """A training step of a module that maps frames and mask to the negative bound."""
        optimiser = optimiser_of(program)

        def step() -> None:
            optimiser.zero_grad()
            self.loss(program).backward()
            update(program, optimiser)

        return step

    def ways(self, names: Sequence[str]) -> dict[str, Way]:
        """Training steps by name; those that the model does not have are left out.

        Args:
            names: ``ours`` (the sequence program), ``tensors`` (its tensor code without Pyro), ``markov`` (the program
                with a site for every step), ``plain`` (the plain PyTorch peer).
        """
        make: dict[str, Callable[[], nn.Module | None]] = {
            "ours": partial(Elbo, self.net),
            "tensors": partial(TensorBound, self.net),
            "markov": partial(Elbo, self.net, "markov"),
            "plain": partial(plain_peer, self.options, self.frame),
        }
        programs = {name: make[name]() for name in names}
        return {name: self.step(program.to(self.device)) for name, program in programs.items() if program is not None}


def fitting(options: ModelOptions) -> tuple[ModelOptions, int]:
    """The options on the kind of data that their preset is of, and how many values its frames have.

    What is timed is the bound: a cost beside it is left out.

    Raises:
        ConfigurationError: If the options have no meaning.
    """
    strokes = options.preset == STROKES
    options = options.model_copy(update={"auxiliary": 0.0})
    return suited(options, "pen" if strokes else "audio"), POINT if strokes else FRAME


def _noise(batch: int, frames: int, width: int, binary: int) -> Sequences:
    """Sequences of noise: 16-bit samples of audio, or points of a pen."""
    generator, names = np.random.default_rng(0), [str(i) for i in range(batch)]
    if binary:
        stored = generator.normal(0, 1, (batch, frames, width)).astype(np.float32)
        stored[..., width - binary :] = stored[..., width - binary :] > 0
        normaliser = Normaliser(0.0, 1.0)
    else:
        stored = generator.normal(0, 2**12, (batch, frames, width)).astype(np.int16)
        normaliser = Normaliser(0.0, 2**-3)
    return Sequences(list(stored), names, None, frame=width, sample_rate=16_000, normaliser=normaliser)


def optimiser_of(program: nn.Module) -> torch.optim.Optimizer:
    """The optimiser that training uses."""
    return torch.optim.Adam(program.parameters(), lr=LEARNING_RATE, fused=True)


def update(program: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """What follows the backward pass."""
    nn.utils.clip_grad_norm_(program.parameters(), CLIP)
    optimiser.step()


class TensorBound(nn.Module):
    """The negative bound by the tensor code that the sequence program runs, without Pyro around it.

    Args:
        net: The parts.
    """

    def __init__(self, net: VRNN) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, mask: Tensor, entered: Entered = lambda part, reads: None) -> Tensor:
        """The negative bound of frames ``(B, T, X)``, summed over those of the mask ``(B, T)``, in nats.

        Args:
            x: The frames.
            mask: True for frames, False for padding.
            entered: Told when ``loop`` and ``emission`` begin.
        """
        net = self.net
        if net.guide is None:
            features_x = net.phi_x(x)
            entered("loop", (features_x,))
            rollout = follow(net, x, mask, x.new_zeros((*x.shape[:-1], 0)), features_x=features_x)
            entered("emission", (rollout.states.h,))
            return -rollout.log_emission.sum()
        reading, _ = read(net, net.guide, x, mask)
        entered("loop", (reading.features_x, reading.prepared, *(reading.ran or ())[:1]))
        z, rollout = infer(net, x, mask, x.shape[:1], reading=reading)
        entered("emission", (z, rollout.states.h, rollout.features_z))
        return rollout.kl_or_sampled(z).sum() - rollout.log_emission.sum()
