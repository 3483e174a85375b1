"""Tables are read back as they were written, and are whole or not there."""

import numpy as np
import pandas
import pyarrow.parquet as parquet
import pytest

from pyro_vrnn.commands.tables import TableWriter, sequence_table, write_table
from pyro_vrnn.errors import ConfigurationError, TrackingError
from pyro_vrnn.inference.results import Estimate, Kind, Scale
from pyro_vrnn.training import files

COLUMNS = {
    "sequence": ["a,b.wav", 'say "ah".wav', "é 3.wav"],
    "frames": np.array([3, 1, 2]),
    "nats": np.array([0.1 + 0.2, np.nan, -np.inf]),
}
READ = {".csv": pandas.read_csv, ".parquet": pandas.read_parquet}


def same(found: pandas.DataFrame, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name].to_numpy(), np.asarray(column))


@pytest.mark.parametrize("ending", READ)
def test_a_table_is_what_it_was(ending, tmp_path):
    path = tmp_path / f"table{ending}"
    write_table(path, COLUMNS)
    same(READ[ending](path), COLUMNS)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", READ)
def test_batches_make_one_table(ending, tmp_path):
    path = tmp_path / f"table{ending}"
    with TableWriter(path, {"sequence": str, "frames": np.int64, "nats": np.float64}) as table:
        for i in range(3):
            table.write({name: column[i : i + 1] for name, column in COLUMNS.items()})
            assert not path.exists()
    same(READ[ending](path), COLUMNS)
    assert list(tmp_path.iterdir()) == [path]


def test_batches_are_written_as_they_come(tmp_path):
    path = tmp_path / "table.parquet"
    with TableWriter(path, {"z": (np.float32, 64)}) as table:
        sizes = []
        for _ in range(4):
            table.write({"z": np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)})
            sizes.append(next(tmp_path.iterdir()).stat().st_size)
    assert np.diff(sizes).min() > 100_000
    assert parquet.ParquetFile(path).num_row_groups == 4


def test_vectors_are_lists_of_fixed_size_in_parquet(tmp_path):
    z = np.arange(6, dtype=np.float32).reshape(3, 2)
    write_table(tmp_path / "a.parquet", COLUMNS | {"z": z})
    with TableWriter(tmp_path / "b.parquet", {"z": (np.float32, 2)}) as table:
        table.write({"z": z[:2]})
        table.write({"z": z[2:]})
    for name in "ab":
        read = parquet.read_table(tmp_path / f"{name}.parquet")
        assert str(read.schema.field("z").type) == "fixed_size_list<element: float>[2]"
        column = read["z"].combine_chunks()
        np.testing.assert_array_equal(column.flatten().to_numpy().reshape(-1, 2), z)


def test_an_empty_table_has_its_columns(tmp_path):
    with TableWriter(tmp_path / "a.parquet", {"sequence": str, "z": (np.float32, 2)}):
        pass
    assert parquet.read_table(tmp_path / "a.parquet").column_names == ["sequence", "z"]


@pytest.mark.parametrize("name", ["table.txt", "table", "table.csv.gz"])
def test_another_ending_is_refused_in_one_line(name, tmp_path):
    for write in (lambda path: write_table(path, COLUMNS), lambda path: TableWriter(path, {"a": int})):
        with pytest.raises(ConfigurationError, match=r"ends in \.csv or \.parquet") as caught:
            write(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_vectors_are_refused_for_csv_in_one_line(tmp_path):
    path = tmp_path / "a.csv"
    for write in (lambda: write_table(path, {"z": np.ones((2, 3))}), lambda: TableWriter(path, {"z": (float, 3)})):
        with pytest.raises(ConfigurationError, match=r"z hold several values a row.*\.parquet") as caught:
            write()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", READ)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_an_error_on_the_way_leaves_the_old_table(ending, error, tmp_path):
    path = tmp_path / f"table{ending}"
    path.write_bytes(b"old")

    def cut_off():
        with TableWriter(path, {"a": np.int64}) as table:
            table.write({"a": [1, 2]})
            raise error("cut off")

    with pytest.raises(error, match="cut off"):
        cut_off()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_batch_that_does_not_fit_the_schema_leaves_nothing(tmp_path):
    for batch in ({"b": [1]}, {"a": [1], "b": [2]}, {"a": [[1, 2]]}):
        with pytest.raises(AssertionError), TableWriter(tmp_path / "a.parquet", {"a": np.int64}) as table:
            table.write(batch)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_is_one_line(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    path = tmp_path / "a.parquet"
    with pytest.raises(TrackingError, match="No space left"), TableWriter(path, {"a": np.int64}) as table:
        table.write({"a": [1]})
    with pytest.raises(TrackingError, match="No space left"):
        write_table(path, {"a": [1]})
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_one_line(tmp_path):
    path = tmp_path / "none" / "a.csv"
    with pytest.raises(TrackingError, match="No such file"), TableWriter(path, {"a": int}):
        pass
    with pytest.raises(TrackingError, match="No such file"):
        write_table(path, {"a": [1]})


def scored(name: str, R: int, **details: np.ndarray) -> Estimate:
    nats = np.random.default_rng(0).standard_normal((R, 3))
    return Estimate.from_repeats(name, Kind.BOUND, nats, np.array([3, 1, 2]), Scale(200), details=details)


def test_a_row_a_sequence_with_all_that_is_known_of_it(tmp_path):
    given = [scored("elbo", 1), scored("iwae_40", 4, ess=np.array([1.5, 40, 3]))]
    table = sequence_table(given, ["a", "b", "c"], ["x", "x", "y"], [0.3, 0.1, 0.2])
    assert list(table) == [
        "sequence", "speaker", "frames", "seconds", "elbo", "iwae_40", "iwae_40_monte_carlo_error", "iwae_40_ess"
    ]  # fmt: skip
    np.testing.assert_array_equal(table["iwae_40"], given[1].nats)
    np.testing.assert_allclose(table["iwae_40_monte_carlo_error"] ** 2, given[1].monte_carlo)
    np.testing.assert_array_equal(table["seconds"], [0.3, 0.1, 0.2])
    for ending, read in READ.items():
        write_table(tmp_path / f"a{ending}", table)
        same(read(tmp_path / f"a{ending}"), table)
    assert "speaker" not in sequence_table(given, ["a", "b", "c"], None, np.ones(3))
