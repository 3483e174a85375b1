import json

import pytest
import torch

from pyro_vrnn.errors import ConfigurationError, TrackingError
from pyro_vrnn.inference.likelihood import exact
from pyro_vrnn.model.sizes import PRESETS
from pyro_vrnn.model.variants import VARIANTS, build
from pyro_vrnn.training import files
from pyro_vrnn.training.config import Config, read
from pyro_vrnn.training.saving import CONFIG, DATA, WEIGHTS, load_model, save_model

from .conftest import network, trainer

SMALL = {
    "h": 8,
    "z": 2,
    "depth": 1,
    **{f"{name}_width": 6 for name in ("phi_x", "phi_z", "guide", "prior", "emission")},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("preset", ["small", pytest.param("iam-ondb", marks=pytest.mark.slow)])
def test_an_explicit_configuration_repeats_itself(variant, preset, tmp_path):
    config = read(None, {"model": {"variant": variant, "preset": preset, "widths": "matched"}}).explicit(200)
    path = tmp_path / "config.toml"
    path.write_text(config.toml())
    assert read(path) == config
    assert read(path).explicit(200) == config
    assert all(value is not None for name, value in config.training if name != "max_steps")
    assert "model.variant" in config.flat()


def test_stored_particles_are_those_of_the_stored_objective(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(read(None, {"training": {"objective": "iwae", "particles": 9}}).explicit(200).toml())
    assert read(path).training.particles == 9
    assert read(path, {"training": {"objective": "fivo"}}).explicit(200).training.particles == 5
    assert read(path, {"training": {"objective": "fivo", "particles": 3}}).training.particles == 3
    path.write_text(read().explicit(200).toml())
    assert read(path, settings=["training.objective=iwae"]).explicit(200).training.particles == 5


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_how_to_train(preset):
    training = read(None, {"model": {"preset": preset}}).explicit(200).training
    assert training.learning_rate in (2e-3, 1e-3, 3e-4)
    assert training.batch_size in (32, 64, 128)


def test_the_later_wins(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[training]\nseed = 1\nclip = 2.0\n")
    config = read(path, {"training": {"seed": 2}}, ["training.clip=3", "model.variant = storn", "data.resample=true"])
    assert (config.training.seed, config.training.clip) == (2, 3.0)
    assert (config.model.variant, config.data.resample) == ("storn", True)
    assert Config() == read()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.clip"], "--set training.clip: expected room.name=value"),
        (["clip=1"], "--set clip=1: expected room.name=value"),
        (["training.clap=1"], "training.clap: Extra inputs"),
        (["training.clip=-1"], "training.clip: .*greater than 0"),
        (["nowhere.clip=1"], "nowhere"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        read(None, {}, settings)


@pytest.mark.parametrize("content", [b"[training", b"\xff\xfe", None])
def test_a_file_that_is_no_configuration_is_refused(content, tmp_path):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"--config {path}: "):
        read(path)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_whole(path, b"old")

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", crash)
    with pytest.raises(TrackingError, match="disk full"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _saved(folder, variant="rnn-gauss"):
    config = read(None, {"model": {"variant": variant, **SMALL}}).explicit(5)
    torch.manual_seed(3)
    net = build(config.model, 5)
    save_model(folder, net, config, {"frame": 5, "mean": 0.0, "std": 1.0})
    return net, config


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_model_is_the_same_model(variant, tmp_path):
    net, config = _saved(tmp_path, variant)
    state = torch.get_rng_state()
    loaded = load_model(tmp_path)
    assert torch.equal(state, torch.get_rng_state())
    assert loaded.config == config
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), loaded.net.parameters(), strict=True))
    if not net.has_latents:
        x, mask = torch.randn(2, 4, 5), torch.ones(2, 4, dtype=torch.bool)
        torch.testing.assert_close(exact(net, x, mask), exact(loaded.net, x, mask))
    model, guide = loaded.programs("markov")
    guide(torch.randn(1, 2, 5))
    assert model(torch.randn(1, 2, 5)).shape == (1, 2, 5)


@pytest.mark.parametrize("name", [CONFIG, DATA, WEIGHTS])
def test_a_missing_or_damaged_file_is_named(name, tmp_path):
    _saved(tmp_path)
    content = (tmp_path / name).read_bytes()
    half = len(content) // 2
    (tmp_path / name).write_bytes(content[: content.find(b"=", half) + 1 or half])
    with pytest.raises((TrackingError, ConfigurationError)) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)
    (tmp_path / name).unlink()
    with pytest.raises(TrackingError, match=f"no {name} there"):
        load_model(tmp_path)


def test_weights_of_another_configuration_are_refused(tmp_path):
    _saved(tmp_path)
    (tmp_path / DATA).write_text(json.dumps({"frame": 6}))
    with pytest.raises(TrackingError, match="not of this configuration"):
        load_model(tmp_path)


def test_a_checkpoint_that_is_missing_damaged_or_of_another_model_is_refused(tmp_path):
    training = trainer(tmp_path)
    with pytest.raises(TrackingError, match="no checkpoint there"):
        training.resume()
    training.fit()
    with pytest.raises(TrackingError, match="of another model"):
        trainer(tmp_path, network("vrnn-gmm")).resume()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrackingError, match="damaged"):
        trainer(tmp_path).resume()
