"""What each of two processes runs for test_world.py: they compare themselves with one process, and say what they found.

Called with the folder to work in; rank 0 leaves ``found.json`` there.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch

from pyro_vrnn.data import batches, shares
from pyro_vrnn.errors import UserError
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.model import sequence
from pyro_vrnn.model.densities import DiagonalNormal
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.variants import VARIANTS
from pyro_vrnn.training import objective
from pyro_vrnn.training.config import TrainingOptions
from pyro_vrnn.training.fabric import FabricWorld
from pyro_vrnn.training.loop import NotFiniteError
from pyro_vrnn.training.objective import build_objective
from pyro_vrnn.training.world import World

from .conftest import Recorder, network, sequences, trainer, weights
from .test_carried import following, without_noise

#: Objectives by name, beside the bound that every variant has.
OBJECTIVES = {
    "iwae": {"objective": "iwae", "particles": 3},
    "fivo": {"objective": "fivo", "particles": 3},
    "annealed": {"kl_annealing": 10},
    # Of vrnn-gauss's first dimension the floor lies above the mean of the batch and below that of rank 1's rows.
    "free bits": {"free_bits": 0.8},
}

CASES = {
    **{f"{name} {program}": (name, {"program": program}) for name in VARIANTS for program in objective.PROGRAMS},
    **{f"{name} {bound}": (name, given) for name in ("vrnn-gauss", "srnn") for bound, given in OBJECTIVES.items()},
}

#: Global batches, by what is hard about them: their rows, taken from seven sequences of which the last has one frame.
BATCHES = {"uneven": 7, "one row for two ranks": 1, "one frame on one rank": 2}


def main(world: FabricWorld, folder: Path) -> dict[str, object]:
    return {
        "seeds": world.gather([world.seed(5), world.seed(6), world.seed(5, 3)]),
        "any": [world.any(world.rank == 1, False), world.any(False, False)],
        "error": _error(world),
        "gradients": {case: gradients(world, *CASES[case]) for case in CASES},
        **training(world, folder),
        "not finite": not_finite(world, folder),
        "carried": carried(world, folder),
    }


def _error(world: World) -> list[str]:
    def fail() -> None:
        raise UserError("only rank 0 sees this")

    try:
        world.from_first(fail)
    except UserError as error:
        return world.gather(str(error))
    return []


def far_from_start(variant: str) -> VRNN:
    """A network whose divergences are far from 0."""
    net = network(variant)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    return net


def gradients(world: FabricWorld, variant: str, options: dict[str, object]) -> dict[str, float]:
    """How far loss and gradient are from one process's of the same global batch, relative to its largest gradient."""
    torch.set_default_dtype(torch.float64)
    net = far_from_start(variant)
    chosen = TrainingOptions(**options)
    alone, shared = build_objective(net, chosen), build_objective(net, chosen, world)
    loss = world.wrap(shared)
    for each in (alone, shared):
        each.at(5)
    differences = {}
    for name, size in BATCHES.items():
        rows = sequences(7, 4)
        rows._frames[-1] = rows._frames[-1][:1]
        rows.lengths[-1] = 1
        picked = rows[-size:]
        whole = next(iter(batches(picked, 7, shuffle=0)))
        share, frames, _ = next(iter(shares(picked, 7, shuffle=0, rank=world.rank, size=world.size)))
        assert frames == int(whole.mask.sum())
        found = []
        for function, batch in ((alone, whole), (loss, share)):
            with given_noise(batch.indices.tolist() or [0]):
                net.zero_grad()
                value = function(batch.x.double(), batch.mask) / frames
                value.backward()
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]
            value = value.detach() if function is alone else world.sum(value)
            found.append(torch.cat([value.flatten(), *(gradient.flatten() for gradient in gradients)]))
        differences[name] = float((found[1] - found[0]).abs().max() / found[0][1:].abs().max())
    torch.set_default_dtype(torch.float32)
    return differences


@contextmanager
def given_noise(indices: list[int]) -> Iterator[None]:
    """Inside, every draw is made of noise that belongs to the sequence; where Pyro draws a step, it is the mean."""
    noise = Noise(0, indices)

    def drawn(net, x, mask, shape, *, by_dimension=False, **given):
        eps = noise.normal(range(3), range(mask.shape[1]), net.dims.z, x)
        return infer(net, x, mask, shape, eps=eps if len(shape) == 2 else eps[0], **given)

    with (
        patch.object(sequence, "infer", drawn),
        patch.object(objective, "infer", drawn),
        patch.object(objective, "smc", partial(objective.smc, noise=noise)),
        patch.object(DiagonalNormal, "rsample", lambda density, shape=(): density.loc),
    ):
        yield


def training(world: FabricWorld, folder: Path) -> dict[str, object]:
    """Trainings of two processes and of one."""
    found = {}
    one, two = Recorder(), Recorder()
    alone = trainer(folder / "one", network("rnn-gauss"), one, epochs=2)
    together = trainer(folder / "two", network("rnn-gauss"), two, world, epochs=2)
    alone.fit()
    together.fit()
    found["steps"] = [_told(one), _told(two)]
    found["epochs"] = [[(e.nats.tolist(), e.frames.tolist(), better) for e, better in r.epochs] for r in (one, two)]
    found["weights"] = _apart(weights(alone.net), weights(together.net))
    found["same weights on every rank"] = _same(world, weights(together.net))

    # With latents: cut on two, gone on with on two, bit for bit as if it had not been cut.
    whole, rest = Recorder(), Recorder()
    uncut = trainer(folder / "uncut", network(), whole, world)
    uncut.fit()
    cut = trainer(folder / "cut", network(), Recorder(7, _interrupt if world.rank == 1 else None), world)
    found["interrupted"] = world.gather([cut.fit(), cut.progress.step])
    resumed = trainer(folder / "cut", network(seed=9), rest, world)
    resumed.resume()
    resumed.fit()
    found["resumed"] = [_told(whole)[7:], _told(rest), _apart(weights(uncut.net), weights(resumed.net))]
    found["same latent weights on every rank"] = _same(world, weights(uncut.net))

    # Two, then one, then two: the order of the batches is that of one process.
    steps = []
    for size, at in ((2, 2), (1, 7), (2, 15)):
        if size == 1 and not world.writes:
            world.gather(None)
            continue
        told = Recorder(at, _interrupt if world.writes else None)
        part = trainer(
            folder / "changing", network("rnn-gauss", seed=0 if at == 2 else 9), told, world if size == 2 else World()
        )
        if at > 2:
            part.resume()
        before = torch.get_rng_state()
        part.fit()
        steps += _told(told)
        if size == 1:
            world.gather(None)
    found["changing"] = steps
    unbroken = Recorder()
    trainer(folder / "unbroken", network("rnn-gauss"), unbroken).fit()
    found["unbroken"] = _told(unbroken)
    # The rank that the one process kept no random state of has another than rank 0 and than at the beginning.
    found["random states"] = world.gather(before[:64].tolist())
    return found


def not_finite(world: FabricWorld, folder: Path) -> list[str]:
    training = trainer(folder / "bad", network(), None, world, batch_size=6)
    own = next(training._rest_of_epoch()).batch.indices
    if world.rank == 1:  # the rows that rank 0 takes are good
        training.train._frames[int(own[0])][1] = float("inf")
    try:
        training.fit()
    except NotFiniteError as error:
        return world.gather(str(error))
    return []


def carried(world: FabricWorld, folder: Path) -> dict[str, object]:
    """Rows that follow recordings, on two processes and on one."""
    found: dict[str, object] = {}
    for variant in ("rnn-gauss", "storn", "srnn"):  # the last two draw their means, which one process draws too
        recorders, nets = (Recorder(), Recorder()), []
        with without_noise():
            for name, told, ranks in zip(("one", "two"), recorders, (None, world), strict=True):
                each = following(folder / f"carried-{variant}-{name}", network(variant), told, ranks)
                each.fit()
                nets.append(each.net)
        found[variant] = [*map(_told, recorders), _apart(*map(weights, nets))]
    whole, rest = Recorder(), Recorder()
    uncut = following(folder / "carried", network(), whole, world)
    uncut.fit()
    cut = following(folder / "carried-cut", network(), Recorder(3, _interrupt if world.rank == 1 else None), world)
    cut.fit()
    resumed = following(folder / "carried-cut", network(seed=9), rest, world)
    resumed.resume()
    resumed.fit()
    found["resumed"] = [_told(whole)[3:], _told(rest), _apart(weights(uncut.net), weights(resumed.net))]
    # Two ranks, then one in the middle of the epoch: the rows that the other had go on.
    told = Recorder()
    following(
        folder / "carried-two", network("rnn-gauss"), Recorder(2, _interrupt if world.writes else None), world
    ).fit()
    if world.writes:
        alone = following(folder / "carried-two", network("rnn-gauss", seed=9), told)
        alone.resume()
        alone.fit()
    unbroken = Recorder()
    following(folder / "carried-unbroken", network("rnn-gauss"), unbroken).fit()
    world.gather(None)
    return {**found, "changing": [_told(unbroken)[2:], _told(told)]}


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _told(recorder: Recorder) -> list[dict[str, float]]:
    return [{k: v for k, v in step.items() if k != "train/frames_per_second"} for step in recorder.steps]


def _apart(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    return max(float((p - q).abs().max()) for p, q in zip(a, b, strict=True))


def _same(world: World, values: list[torch.Tensor]) -> bool:
    first, second = world.gather([value.tolist() for value in values])
    return first == second


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    job, place = FabricWorld("cpu"), Path(sys.argv[1])
    result = main(job, place)
    if job.writes:
        (place / "found.json").write_text(json.dumps(result))
    job.close()
