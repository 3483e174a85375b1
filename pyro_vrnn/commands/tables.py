"""Tables as files: CSV or Parquet by the name's ending, whole or not there."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, DTypeLike, NDArray
from pyarrow.csv import CSVWriter
from pyarrow.parquet import ParquetWriter

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.results import Estimate
from pyro_vrnn.training.files import one_line, whole_file, write_whole

#: What a column holds: a scalar type (``str``, ``np.int64``, ...), or with a number D that many values a row.
Columns = Mapping[str, DTypeLike | tuple[DTypeLike, int]]

#: Writers of Arrow record batches by ending.
WRITERS = {".csv": CSVWriter, ".parquet": ParquetWriter}


def write_table(path: Path, columns: Mapping[str, ArrayLike]) -> None:
    """Writes a table that fits in memory.

    Args:
        path: ``.csv`` or ``.parquet``; its folder must exist.
        columns: Of the same length each: ``(n,)``, or ``(n, D)`` for Parquet, where it becomes a list of fixed size.

    Raises:
        ConfigurationError: For another ending, and for several values a row in CSV.
        TrackingError: If it cannot be written.
    """
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    content = io.BytesIO()
    with _writer(path, content, {name: _type_of(array) for name, array in arrays.items()}) as (writer, schema):
        writer.write_batch(_batch(arrays, schema))
    write_whole(path, content.getvalue())


class TableWriter:
    """Writes a table batch by batch, and holds none of them.

    A context manager: the file has its name only after it is left without an error, and is removed otherwise. Each
    batch becomes a row group of a Parquet file, so that batches of thousands of rows read best.

    Args:
        path: ``.csv`` or ``.parquet``; its folder must exist.
        schema: What each column holds, e.g. ``{"sequence": str, "frame": np.int64, "z": (np.float32, 16)}``.

    Raises:
        ConfigurationError: For another ending, and for several values a row in CSV.
        TrackingError: If it cannot be written.
    """

    def __init__(self, path: Path, schema: Columns) -> None:
        _check(path, schema)
        self.path, self.columns = path, schema

    def __enter__(self) -> Self:
        with one_line(self.path), ExitStack() as stack:
            file = stack.enter_context(whole_file(self.path))
            self._writer, self._schema = stack.enter_context(_writer(self.path, file, self.columns))
            self._left = stack.pop_all()
        return self

    def write(self, columns: Mapping[str, ArrayLike]) -> None:
        """Appends a batch: every column of the schema, of the same length each."""
        with one_line(self.path):
            self._writer.write_batch(_batch(columns, self._schema))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with one_line(self.path):
            self._left.__exit__(kind, error, trace)


def sequence_table(
    estimates: Sequence[Estimate],
    names: Sequence[str],
    speakers: Sequence[str] | None,
    seconds: ArrayLike | None,
) -> dict[str, NDArray]:
    """One row a sequence, for comparing models pair by pair.

    Args:
        estimates: Of the same sequences in the same order.
        names: Of the N sequences.
        speakers: Theirs, or None where they are not known.
        seconds: Durations, ``(N,)``, or None where they have none.

    Returns:
        ``sequence``, ``speaker``, ``frames``, ``seconds``; then for each estimate its nats under its name, their
        standard error due to this evaluation's noise as ``{name}_monte_carlo_error`` where it is known, and its details
        as ``{name}_{detail}``.
    """
    table: dict[str, NDArray] = {"sequence": np.asarray(names)}
    if speakers is not None:
        table["speaker"] = np.asarray(speakers)
    table["frames"] = estimates[0].frames
    if seconds is not None:
        table["seconds"] = np.asarray(seconds, dtype=np.float64)
    for estimate in estimates:
        table[estimate.name] = estimate.nats
        if estimate.monte_carlo is not None:
            table[f"{estimate.name}_monte_carlo_error"] = np.sqrt(estimate.monte_carlo)
        table |= {f"{estimate.name}_{detail}": np.asarray(column) for detail, column in estimate.details.items()}
    return table


@contextmanager
def _writer(path: Path, file: IO[bytes], columns: Columns) -> Iterator[tuple[Any, pa.Schema]]:
    _check(path, columns)
    schema = pa.schema([(name, _arrow_type(held)) for name, held in columns.items()])
    with WRITERS[path.suffix.lower()](file, schema) as writer:
        yield writer, schema


def _check(path: Path, columns: Columns) -> None:
    ending = path.suffix.lower()
    if ending not in WRITERS:
        raise ConfigurationError(f"{path}: a table ends in {' or '.join(WRITERS)}, which says how it is written")
    wide = [name for name, held in columns.items() if isinstance(held, tuple)]
    if ending == ".csv" and wide:
        raise ConfigurationError(
            f"{path}: {', '.join(wide)} hold several values a row, and CSV has one a cell; choose a name in .parquet"
        )


def _type_of(array: NDArray) -> DTypeLike | tuple[DTypeLike, int]:
    return array.dtype if array.ndim == 1 else (array.dtype, array.shape[1])


def _arrow_type(held: DTypeLike | tuple[DTypeLike, int]) -> pa.DataType:
    if isinstance(held, tuple):
        return pa.list_(_arrow_type(held[0]), held[1])
    # Text of numpy has a length of its own, which a column of text has not.
    return pa.string() if np.dtype(held).kind in "UO" else pa.from_numpy_dtype(np.dtype(held))


def _batch(columns: Mapping[str, ArrayLike], schema: pa.Schema) -> pa.RecordBatch:
    assert list(columns) == schema.names, f"columns {list(columns)}, expected {schema.names}"
    arrays = []
    for field, column in zip(schema, columns.values(), strict=True):
        values, width = np.asarray(column), getattr(field.type, "list_size", None)
        assert values.shape[1:] == (() if width is None else (width,)), (
            f"{field.name}: rows of shape {values.shape[1:]}"
        )
        flat = pa.array(values.reshape(-1), type=field.type if width is None else field.type.value_type)
        arrays.append(flat if width is None else pa.FixedSizeListArray.from_arrays(flat, type=field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
