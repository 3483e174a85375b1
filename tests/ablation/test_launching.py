import pytest

from pyro_vrnn.ablation.launching import shares
from pyro_vrnn.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _own_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(("jobs", "cores", "each"), [(1, 8, "8"), (2, 8, "4"), (3, 8, "2"), (9, 8, "1")])
def test_cores_are_divided(jobs, cores, each):
    found = shares(jobs, 1, cores, [])
    assert found == [{"OMP_NUM_THREADS": each}] * jobs


def test_threads_that_were_asked_for_stay(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert shares(4, 1, 8, []) == [{"OMP_NUM_THREADS": "3"}] * 4


@pytest.mark.parametrize(
    ("jobs", "devices", "gpus", "expected"),
    [
        (2, 1, ["0", "1"], ["0", "1"]),
        (4, 1, ["0", "1"], ["0", "1", "0", "1"]),
        (2, 2, ["4", "5", "6", "7", "8"], ["4,5", "6,7"]),
        (1, 1, ["GPU-a"], ["GPU-a"]),
    ],
)
def test_gpus_are_dealt_in_groups(jobs, devices, gpus, expected):
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares(jobs, devices, 8, gpus)] == expected


def test_more_gpus_a_cell_than_there_are_is_refused():
    with pytest.raises(ConfigurationError, match="--devices 4"):
        shares(1, 4, 8, ["0", "1"])
