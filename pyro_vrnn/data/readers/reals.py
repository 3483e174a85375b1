"""Real numbers of any source type as they are stored: int16, int32 or float32."""

import re

import numpy as np

from ..audio import UnusableError

SHORTEST = 2  # rows; a single one has neither a past nor a future

Stored = type[np.int16] | type[np.int32] | type[np.float32]

_NUMBERS = re.compile(r"([<>|=]?)(b1|[iu][1248]|f[248])")
_OTHERS = {
    "c": "complex numbers",
    "O": "Python objects",
    "S": "text",
    "a": "text",
    "U": "text",
    "M": "dates",
    "m": "durations",
    "V": "raw bytes",
}


def number_type(code: str) -> np.dtype:
    """The type of a code such as `<f4`: truth values, integers, or floats of at most 64 bits.

    Raises:
        UnusableError: It is no type of real numbers.
    """
    if _NUMBERS.fullmatch(code):
        return np.dtype(code)
    raise UnusableError(f"holds {_OTHERS.get(code.lstrip('<>|=')[:1], 'values of an unknown type')}, not real numbers")


def stored_type(dtype: np.dtype) -> Stored:
    """How numbers of a type are stored: integers as int16 or int32, floats as float32.

    Raises:
        UnusableError: They are not real numbers.
    """
    if dtype.kind == "f":
        return np.float32
    if dtype.kind not in "biu":
        raise UnusableError(f"holds {_OTHERS.get(dtype.kind, 'values of an unknown type')}, not real numbers")
    return np.int16 if np.can_cast(dtype, np.int16) else np.int32


def stored(values: np.ndarray) -> np.ndarray:
    """Numbers as they are stored: every integer exactly, floats rounded to float32.

    Raises:
        UnusableError: They are not real numbers, not finite, or not within 32 bits.
    """
    kind = stored_type(values.dtype)
    if kind is np.float32:
        if not np.isfinite(values).all():
            raise UnusableError("holds values that are not finite")
        with np.errstate(over="ignore", under="ignore"):
            rounded = values.astype(np.float32, copy=False)
        if values.dtype.itemsize > 4 and not np.isfinite(rounded).all():
            raise UnusableError("holds values beyond what float32 can hold")
        return rounded
    if not np.can_cast(values.dtype, np.int32) and values.size:
        low, high = int(values.min()), int(values.max())
        if low < -(2**31) or high >= 2**31:
            raise UnusableError(
                f"holds integers of more than 32 bits ({high if high >= 2**31 else low}); give them as floats"
            )
    return values.astype(kind, copy=False)


def rows_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """T and D of one sequence of shape `(T,)` or `(T, D)`.

    Raises:
        UnusableError: It has another number of dimensions, no columns or less than two rows.
    """
    if len(shape) not in (1, 2):
        raise UnusableError(f"an array of {len(shape)} dimensions; expected (T,) or (T, D)")
    rows, width = shape[0], shape[1] if len(shape) == 2 else 1
    if not width:
        raise UnusableError("rows without a value")
    if rows < SHORTEST:
        raise UnusableError(f"{rows} row{'' if rows == 1 else 's'}; expected at least {SHORTEST}")
    return rows, width
