import pytest

import pyro_vrnn
from pyro_vrnn.training.config import read
from pyro_vrnn.training.identity import identity


def _of(*settings: str, checksum: str = "abc", source: str = "folder") -> str:
    config = read(None, {"data": {"source": source}}, settings)
    return identity(config.explicit(config.data.frame), checksum)


SAME = ["training.device=cpu", "training.devices=4", "tracking.name=x", "tracking.experiment=y", "model.variant=vrnn"]
OTHER = ["training.seed=1", "training.clip=1.0", "model.guide=smoothing", "data.dither=true", "training.precision=bf16"]


@pytest.mark.parametrize("setting", SAME)
def test_where_a_run_is_computed_and_what_it_is_called_do_not_count(setting):
    assert _of(setting) == _of()


@pytest.mark.parametrize("setting", OTHER)
def test_what_it_computes_counts(setting):
    assert _of(setting) != _of()


def test_a_default_that_is_written_out_is_the_default():
    assert _of("model.prior=conditional", "training.epochs=25") == _of()


def test_data_are_known_by_their_checksum_and_not_by_their_path():
    assert _of(source="/elsewhere/folder") == _of()
    assert _of(checksum="abd") != _of()


def test_a_list_of_test_files_counts_by_its_contents(tmp_path):
    for name, lines in (("a", "1.wav"), ("b", "1.wav"), ("c", "2.wav")):
        (tmp_path / name).write_text(lines)
    a, b, c = (_of("data.split=list", f"data.test_list={tmp_path / name}") for name in "abc")
    assert a == b
    assert a != c


def test_a_release_that_repairs_keeps_what_was_computed_and_the_next_does_not(monkeypatch):
    monkeypatch.setattr(pyro_vrnn, "__version__", "3.4.0")
    before = _of()
    monkeypatch.setattr(pyro_vrnn, "__version__", "3.4.9")
    assert _of() == before
    monkeypatch.setattr(pyro_vrnn, "__version__", "3.5.0")
    assert _of() != before
