import ctypes
import statistics
import warnings
from types import SimpleNamespace

import pytest
import torch

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.variants import VARIANTS
from pyro_vrnn.training import loop
from pyro_vrnn.training.device import Precision, device_named, keep_freed_memory

from .conftest import Recorder, network, trainer

#: Every variant; all but one are for -m slow.
SOME = [name if name == "vrnn-gauss" else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_devices_are_named_or_refused():
    assert device_named("cpu").type == "cpu"
    for name, message in (("tpu9", "unknown"), ("meta", "not supported"), ("cuda:99", "CUDA devices")):
        with pytest.raises(ConfigurationError, match=f"--device {name}: .*{message}"):
            device_named(name)


def test_tf32_is_refused_on_a_cpu(tmp_path):
    with pytest.raises(ConfigurationError, match=r"--precision tf32: a CPU has no TF32; use float32 or bf16"):
        trainer(tmp_path, precision="tf32")


@pytest.mark.parametrize("name", ["tf32", "bf16"])
def test_a_gpu_without_it_refuses(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old One")
    with pytest.raises(ConfigurationError, match=rf"--precision {name}: Old One has none; use --precision float32"):
        Precision(name, CUDA)
    assert Precision("float32", CUDA).name == "float32"


def settings():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("name", "expected"), [("float32", ("highest", False)), ("tf32", ("high", True)), ("bf16", ("highest", False))]
)
def test_products_are_set_for_the_duration_and_put_back(name, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    precision, before = Precision(name, CUDA), settings()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with precision.products():
            assert settings() == expected
            with Precision("float32", CUDA).products():
                assert settings() == ("highest", False)
            assert settings() == expected
        assert settings() == before
        with pytest.raises(OSError, match="on the way"), precision.products():
            raise OSError("on the way")
    assert settings() == before
    with Precision("float32", CPU).products():
        assert settings() == before


def bound_of(folder, variant, precision, seed):
    """The validation bound after 30 steps."""
    watcher = Recorder()
    net = network(variant)
    trainer(folder, net, watcher, precision=precision, seed=seed, epochs=100, max_steps=30).fit()
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
    return watcher.epochs[-1][0].per_sequence


@pytest.mark.parametrize("variant", SOME)
def test_bf16_trains_to_the_bound_of_float32_within_the_noise_of_seeds(variant, tmp_path):
    bounds = {
        precision: [bound_of(tmp_path / f"{precision}{seed}", variant, precision, seed) for seed in range(3)]
        for precision in ("float32", "bf16")
    }
    apart = statistics.mean(bounds["bf16"]) - statistics.mean(bounds["float32"])
    assert bounds["bf16"] != bounds["float32"]
    assert abs(apart) < max(bounds["float32"]) - min(bounds["float32"])


def test_only_the_forward_pass_of_training_is_cast(tmp_path, monkeypatch):
    training = trainer(tmp_path, precision="bf16", max_steps=2)
    cast = {"objective": set(), "validation": set()}

    def noting(where, does):
        def function(*args, **kwargs):
            cast[where].add(torch.is_autocast_enabled("cpu"))
            return does(*args, **kwargs)

        return function

    training.step._loss = noting("objective", training.objective)
    monkeypatch.setattr(loop, "validate", noting("validation", loop.validate))
    training.fit()
    assert cast == {"objective": {True}, "validation": {False}}


def test_a_culprit_is_looked_for_in_the_precision_that_it_was_met_in(tmp_path, monkeypatch):
    training = trainer(tmp_path, precision="bf16", epochs=1)
    training.train._frames[5][1] = float("inf")
    cast = []
    monkeypatch.setattr(loop, "culprit", lambda *_: cast.append(torch.is_autocast_enabled("cpu")) or "there")
    with pytest.raises(loop.NotFiniteError, match="first in there"):
        training.fit()
    assert cast == [True]


def test_memory_is_kept_where_the_c_library_can(monkeypatch):
    asked = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *given: asked.append(given)))
    keep_freed_memory()
    assert asked == [(-3, 32 * 2**20), (-1, 2**31 - 1)]
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()  # another C library
