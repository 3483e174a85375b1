"""Runs commands as a shell would, in a folder of their own."""

import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pyro_vrnn.commands.main import main
from pyro_vrnn.data import load
from pyro_vrnn.model.variants import build
from pyro_vrnn.training.config import read
from pyro_vrnn.training.saving import save_model

from ..report.browser import free_port, wait_for

CLI = Path(__file__).parents[2] / "cli.py"
TINY = ["h=8", "z=2", "depth=1", *(f"{part}_width=6" for part in ("phi_x", "phi_z", "guide", "prior", "emission"))]
SMALL = [*(word for value in TINY for word in ("--set", f"model.{value}")), "--set", "tracking.report=false"]


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(capsys, monkeypatch, tmp_path) -> Callable[..., Ended]:
    """Calls a command in this process, in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    torch.set_default_dtype(torch.float32)

    def call(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pyro-vrnn", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as error:
            status = error.code or 0
        return Ended(status, *capsys.readouterr())

    return call


def shell(folder: Path, *arguments: str | Path, seconds: float = 120) -> subprocess.Popen:
    """Starts ``python cli.py ...`` in a folder. It is killed after so many seconds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, str(CLI), *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    # Whoever reads its lines must not wait for ever for one that does not come.
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.daemon = True
    watchdog.start()
    return process


@contextmanager
def interface(folder: Path) -> Iterator[str]:
    """The address of a folder's ``ui``."""
    port = free_port()
    server = subprocess.Popen([sys.executable, str(CLI), "ui", "--port", str(port)], cwd=folder)
    try:
        wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close(), 120)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        assert server.wait(30) == 143
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)


def record(folder: Path, count: int = 40, *, rate: int = 8000, seed: int = 0, names: Sequence[str] = ()) -> Path:
    """A folder of short recordings: tones with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for i in range(count):
        n = int(generator.integers(500, 1800))
        tone = 0.3 * np.sin(np.arange(n) * generator.uniform(0.01, 0.2)) + 0.01 * generator.normal(size=n)
        soundfile.write(folder / (names[i] if names else f"{i:03d}.wav"), tone, rate)
    return folder


def untrained(folder: Path, variant: str = "vrnn-gauss", *, seed: int = 0, **data: object) -> Path:
    """A model folder as ``fit`` leaves it, of a tiny model that has learnt nothing."""
    config = read(None, {"data": data, "model": {"variant": variant}, "training": {"seed": seed}}, SMALL[1::2])
    corpus = load(config.data, seed=seed)
    config = config.explicit(corpus.frame, corpus.kind)
    torch.manual_seed(seed)
    save_model(folder, build(config.model, corpus.frame), config, corpus.describe())
    return folder
