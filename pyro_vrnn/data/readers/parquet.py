"""Tables in Parquet files."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ..audio import UnusableError
from ..gathering import gather
from .foreign import shown
from .reals import Stored, rows_of, stored, stored_type

BLOCK = 1 << 19  # values read at once
UNPACKED = 4 << 30  # bytes of a table's values: a small file can announce any number of equal ones

_INDEX = "__index_level_"  # columns in which pandas keeps what it numbers rows with
_BROKEN = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError, OverflowError)


def read_parquet(file: BinaryIO, *, what: str) -> np.ndarray:
    """A table's columns, shape `(T, D)`: integers where all columns are, else float32. Pandas' index is no column.

    Args:
        file: The open file.
        what: Its name, for the message of a full disk.

    Raises:
        UnusableError: The file is damaged or too large, a column holds something else than real numbers, or a value is
            missing, not finite or not within 32 bits.
    """
    try:
        table = parquet.ParquetFile(file)
        rows, schema = table.metadata.num_rows, table.schema_arrow
        names = [name for name in schema.names if not name.startswith(_INDEX)]
        types = [_kind(schema.field(i)) for i, name in enumerate(schema.names) if name in names]
    except _BROKEN as error:
        raise _damaged(error) from None
    rows, width = rows_of((rows, len(names)))
    if rows * width * 8 > UNPACKED:
        raise UnusableError(
            f"unpacks to {rows * width / 2**27:.1f} GiB; expected at most {UNPACKED >> 30} a file: cut it into several"
        )
    kind = np.float32 if np.float32 in types else np.int32 if np.int32 in types else np.int16
    values = gather(_pieces(table, names, kind, rows), kind, expected=rows * width, what=what)
    if len(values) != rows * width:
        raise UnusableError(f"truncated: {len(values) // width} of {rows} rows are there")
    return values.reshape(rows, width)


def _kind(field: pa.Field) -> Stored:
    types = pa.types
    if types.is_integer(field.type) or types.is_floating(field.type) or types.is_boolean(field.type):
        return stored_type(np.dtype(field.type.to_pandas_dtype()))
    raise UnusableError(f"column {shown(field.name)} holds {shown(str(field.type))}; expected real numbers")


def _pieces(table: parquet.ParquetFile, names: list[str], kind: Stored, rows: int) -> Iterator[np.ndarray]:
    batches = table.iter_batches(max(1, BLOCK // len(names)), columns=names, use_threads=False)
    seen = 0
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
            columns = [batch.column(i) for i in range(batch.num_columns)]
            if len(columns) != len(names):
                raise ValueError("columns are missing")
        except _BROKEN as error:
            raise _damaged(error) from None
        piece = np.empty((batch.num_rows, len(names)), kind)
        for i, column in enumerate(columns):
            if column.null_count:
                row = seen + int(np.flatnonzero(column.is_null())[0])
                raise UnusableError(f"row {row + 1} of column {shown(names[i])} has no value")
            piece[:, i] = stored(column.to_numpy(zero_copy_only=False))
        seen += len(piece)
        if seen > rows:
            raise UnusableError(f"has more than the {rows} rows it announces")
        yield piece.ravel()


def _damaged(error: Exception) -> UnusableError:
    return UnusableError(f"a damaged Parquet file ({shown(str(error))})")
