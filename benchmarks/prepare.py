"""Preparing and training at two sizes: times real time per core, what is resident, and waiting for data.

    python benchmarks/prepare.py [--hours 1 20] [--steps 200] [--jobs 2] [--folder DIR]

Speech-like FLAC files of 10 s at 16 kHz are made on the fly and removed: 20 minutes of different ones, and copies of
them under other names up to the hours asked for. Every measurement is a process of its own; what is resident is its
peak (of preparing: beside it, of the largest of the processes that read), and time per core is processor time.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATE, SECONDS, DIFFERENT = 16_000, 10, 120


def speech(seed: int) -> np.ndarray:
    """Coloured noise in syllables with pauses, int16: it compresses about as speech does."""
    generator = np.random.default_rng(seed)
    n = RATE * SECONDS
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    shape = sum(np.exp(-(((frequency - f) / 120) ** 2)) for f in generator.uniform(200, 3000, 4)) / (
        1 + frequency / 500
    )
    voice = np.fft.irfft(np.fft.rfft(generator.standard_normal(n)) * shape, n)
    envelope = np.interp(np.arange(n), np.linspace(0, n, 8 * SECONDS), generator.gamma(0.5, 1, 8 * SECONDS))
    x = voice / voice.std() * envelope
    return (0.1 * 2**15 * x / x.std() + generator.normal(0, 4, n)).clip(-(2**15), 2**15 - 1).astype(np.int16)


def write(folder: Path, hours: float) -> int:
    """Fill a folder with so many hours; the bytes written."""
    import soundfile

    files = round(hours * 3600 / SECONDS)
    for i in range(files):
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        if i < DIFFERENT:
            soundfile.write(path, speech(i), RATE)
        else:
            shutil.copyfile(folder / "000" / f"{i % DIFFERENT:06d}.flac", path)
    return sum(path.stat().st_size for path in folder.rglob("*.flac"))


def preparing(folder: Path, cache: Path, jobs: int) -> dict[str, float]:
    from pyro_vrnn.data import DataOptions
    from pyro_vrnn.data.prepared.preparing import prepare

    started = time.monotonic()
    prepare("audio", DataOptions(source=str(folder), segment=0.5), cache, jobs=jobs)
    own, readers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "wall_seconds": time.monotonic() - started,
        "processor_seconds": sum(used.ru_utime + used.ru_stime for used in (own, readers)),
        "resident_mib": own.ru_maxrss / 1024,
        "largest_reader_mib": readers.ru_maxrss / 1024 if jobs > 1 else 0.0,
    }


def training(cache: Path, steps: int) -> dict[str, float]:
    import torch

    from pyro_vrnn.data import DataOptions, load
    from pyro_vrnn.data.batches import shares
    from pyro_vrnn.model.variants import build
    from pyro_vrnn.training.ahead import ahead
    from pyro_vrnn.training.config import Config
    from pyro_vrnn.training.loop import Trainer

    class Silent:
        def step(self, *_: object) -> None: ...
        def epoch(self, *_: object) -> None: ...
        def checkpointed(self, *_: object) -> None: ...

    started = time.monotonic()
    corpus = load(DataOptions(source=str(cache)), seed=0)
    corpus.lines()
    opened, config = time.monotonic() - started, Config().explicit(corpus.frame)
    torch.manual_seed(0)
    net = build(config.model, corpus.frame)
    trainer = Trainer(net, corpus.train, corpus.validation, config.training, cache / "unused", Silent())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    planned = time.monotonic()
    coming = ahead(shares(corpus.train, trainer.batch_size, shuffle=1), torch.device("cpu"))
    first = next(coming)
    planned = time.monotonic() - planned
    trainer._step(first)
    waited, started = 0.0, time.monotonic()
    for _ in range(steps):
        asked = time.monotonic()
        batch = next(coming)
        waited += time.monotonic() - asked
        trainer._step(batch)
    took = time.monotonic() - started
    return {
        "opened_seconds": opened,
        "shuffled_seconds": planned,
        "before_training_mib": before,
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "step_seconds": took / steps,
        "waiting": waited / took,
    }


def reading(cache: Path) -> dict[str, float]:
    """A whole epoch of batches, shuffled over all of the corpus, without any training."""
    from pyro_vrnn.data import DataOptions, load
    from pyro_vrnn.data.batches import shares

    corpus = load(DataOptions(source=str(cache)), seed=0)
    started, frames = time.monotonic(), 0
    for share in shares(corpus.train, 32, shuffle=1):
        frames += share.frames
    return {
        "frames_per_second": frames / (time.monotonic() - started),
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured(what: str, *arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", what, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 20])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to write; default: the folder for temporary files")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        what, *rest = given.measure
        work = {"prepare": lambda a, b, c: preparing(Path(a), Path(b), int(c)),
                "train": lambda a, b: training(Path(a), int(b)), "read": lambda a: reading(Path(a))}  # fmt: skip
        print(json.dumps(work[what](*rest)))
        return
    rows = []
    for hours in given.hours:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            source, cache = Path(folder) / "source", Path(folder) / "cache"
            size = write(source, hours)
            row = {"hours": hours, "flac_mb": size / 1e6}
            found = measured("prepare", source, cache, given.jobs)
            row |= {f"prepare_{name}": value for name, value in found.items()}
            row["times_real_time_per_core"] = hours * 3600 / found["processor_seconds"]
            shutil.rmtree(source)
            row |= {f"train_{name}": value for name, value in measured("train", cache, given.steps).items()}
            row |= {f"read_{name}": value for name, value in measured("read", cache).items()}
        rows.append(row)
        print(json.dumps({name: round(value, 4) for name, value in row.items()}), flush=True)
    first, last = rows[0], rows[-1]
    for name in ("prepare_resident_mib", "prepare_largest_reader_mib", "train_resident_mib", "read_resident_mib"):
        slope = (last[name] - first[name]) / max(last["hours"] - first["hours"], 1e-9)
        print(f"{name}: {first[name]:.0f} at {first['hours']:g} h, {last[name]:.0f} at {last['hours']:g} h: "
              f"{slope:+.2f} MiB an hour")  # fmt: skip


if __name__ == "__main__":
    main()
