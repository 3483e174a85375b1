"""Pickled object arrays of numeric arrays, read without unpickling.

A pickle is a program. Here none is run: its opcodes are parsed (`pickletools.genops`, which executes nothing) and
interpreted over symbols. Six names have a meaning, those by which NumPy writes arrays; every other name, and every
opcode that is not needed for arrays, ends the reading. No object of a class that a pickle names is ever built, NumPy's
included: what comes out are `numpy.frombuffer` views of bytes whose type, shape and number have been compared before.

Opcodes: https://docs.python.org/3/library/pickletools.html
"""

import pickletools
import warnings
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from ..audio import UnusableError
from .foreign import shown
from .reals import number_type

OPERATIONS = 10_000_000  # opcodes of a pickle, about thirteen an array; each takes at most some hundred bytes
TOTAL = 1 << 30  # bytes of all arrays together: a pickle can refer to the same bytes any number of times


class Name(Enum):
    """What a pickle may call by name."""

    RECONSTRUCT = "an empty array"
    FROMBUFFER = "an array of bytes"
    SCALAR = "one number"
    NDARRAY = "the class of arrays"
    DTYPE = "a type"
    ENCODE = "bytes of a text"


_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_NAMES = {
    **{(module, "_reconstruct"): Name.RECONSTRUCT for module in _MODULES},
    **{(module, "scalar"): Name.SCALAR for module in _MODULES},
    **{(module, "_frombuffer"): Name.FROMBUFFER for module in _MODULES},
    ("numpy", "ndarray"): Name.NDARRAY,
    ("numpy", "dtype"): Name.DTYPE,
    ("_codecs", "encode"): Name.ENCODE,
}


class PickledType:
    """A type as a pickle names it, such as `i2`, and its byte order once that is known."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    @property
    def objects(self) -> bool:
        """Whether it is that of Python objects."""
        return self.code.startswith("O")

    def numbers(self) -> np.dtype:
        """NumPy's type, if it is one of real numbers."""
        return number_type(self.order + self.code)


class PickledArray:
    """An array as a pickle describes it: its shape, its type and its bytes, or the list of its objects."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.type: PickledType | None = None
        self.fortran = False
        self.data: bytes | bytearray | str | list[Any] | None = None

    def objects(self) -> list[Any] | None:
        """The elements, if they are Python objects."""
        held = self.type is not None and self.type.objects and isinstance(self.data, list)
        return self.data if held and isinstance(self.data, list) else None

    def numbers(self) -> np.ndarray:
        """The values: a read-only view of the pickle's bytes.

        Raises:
            UnusableError: They are not real numbers, or not as many as the shape says.
        """
        if self.type is None or self.data is None or isinstance(self.data, list):
            raise UnusableError("an array of objects, not of numbers")
        dtype = self.type.numbers()
        data = _bytes(self.data)
        if len(data) != prod(self.shape) * dtype.itemsize:
            raise UnusableError(f"{len(data)} bytes of values for shape {self.shape}")
        if not data:
            raise UnusableError("holds no values")
        flat = np.frombuffer(data, dtype)
        return flat.reshape(self.shape[::-1]).T if self.fortran else flat.reshape(self.shape)


_Mark = object()


def load(pickle: bytes) -> PickledArray:
    """The array that a pickle describes.

    Args:
        pickle: All of it, of protocol 2 to 5.

    Raises:
        UnusableError: It is damaged, describes something else than an array, or asks for anything but NumPy's arrays.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of genops, of escapes in texts of protocol 0
            result = _Reading().run(pickle)
    except (ValueError, IndexError, KeyError) as error:  # of genops, of an empty stack, of an empty memory
        raise UnusableError(f"a damaged pickle ({shown(str(error))})") from None
    if not isinstance(result, PickledArray):
        raise UnusableError("a pickle of something else than an array")
    return result


class _Reading:
    """The state of a pickle's interpretation: its stack and its memory."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.charged = 0

    def run(self, pickle: bytes) -> object:
        stack, memory = self.stack, self.memory
        argument: Any
        for count, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
            name = opcode.name
            if count == OPERATIONS:
                raise UnusableError(f"a pickle of more than {OPERATIONS:,} operations; cut it into several files")
            if name in _PUSH:
                stack.append(argument)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in ("BINPUT", "LONG_BINPUT"):
                memory[argument] = stack[-1]
            elif name == "MEMOIZE":
                memory[len(memory)] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memory[argument])
            elif name in _TUPLES:
                size = _TUPLES[name]
                stack.append(tuple(self.pop(size)))
            elif name == "TUPLE":
                stack.append(tuple(self.pop_to_mark()))
            elif name == "EMPTY_LIST":
                stack.append([])
            elif name in ("APPEND", "APPENDS"):
                added = self.pop(1) if name == "APPEND" else self.pop_to_mark()
                _expect(stack[-1], list).extend(added)
            elif name == "BUILD":
                (state,) = self.pop(1)
                self.build(stack[-1], state)
            elif name == "REDUCE":
                function, arguments = self.pop(2)
                stack.append(self.reduce(function, _expect(arguments, tuple)))
            elif name == "GLOBAL":
                stack.append(_named(*argument.split(" ", 1)))
            elif name == "STACK_GLOBAL":
                stack.append(_named(*self.pop(2)))
            elif name == "POP":
                self.pop(1)
            elif name == "STOP":
                return self.pop(1)[0]
            elif name not in ("PROTO", "FRAME"):
                raise UnusableError(f"its pickle has the operation {name}; only NumPy arrays are read")
        raise ValueError("no end")

    def pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError("the stack is empty")
        popped = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return popped

    def pop_to_mark(self) -> list[Any]:
        above: list[Any] = []
        while (top := self.stack.pop()) is not _Mark:
            above.append(top)
        return above[::-1]

    def reduce(self, function: object, arguments: tuple[Any, ...]) -> object:
        """What a call that NumPy writes stands for; nothing is called."""
        match function, arguments:
            case Name.RECONSTRUCT, (Name.NDARRAY, tuple(), str() | bytes()):
                return PickledArray()
            case Name.DTYPE, (str(code), *_):
                return PickledType(code)
            case Name.FROMBUFFER, (bytes() | bytearray() as data, PickledType() as dtype, tuple(shape), str(order)):
                return self.fill(PickledArray(), shape, dtype, order == "F", data)
            case Name.SCALAR, (PickledType() as dtype, bytes() | str() as data):
                return self.fill(PickledArray(), (), dtype, False, data).numbers().item()
            case Name.ENCODE, (str(text), str()):
                self.charge(text)
                return text.encode("latin-1")
        raise UnusableError("its pickle calls something with unexpected arguments; only NumPy arrays are read")

    def build(self, target: object, state: object) -> None:
        """Fill an array, or complete a type."""
        match target, state:
            case PickledArray(), (tuple(shape), PickledType() as dtype, order, data):
                self.fill(target, shape, dtype, bool(order), data)
            case PickledArray(), (int(), tuple(shape), PickledType() as dtype, order, data):
                self.fill(target, shape, dtype, bool(order), data)
            case PickledType(), (int(), "<" | ">" | "=" | "|" as order, None, None, None, *_):
                target.order = order
            case PickledType(), tuple():
                raise UnusableError("holds records with named fields, not plain numbers")
            case _:
                raise UnusableError("its pickle fills in something else than an array; only NumPy arrays are read")

    def fill(
        self, array: PickledArray, shape: tuple[Any, ...], dtype: PickledType, fortran: bool, data: object
    ) -> PickledArray:
        if not all(type(size) is int and 0 <= size < 2**62 for size in shape) or len(shape) > 32:
            raise ValueError("a shape of something else than sizes")
        if not isinstance(data, bytes | bytearray | str | list):
            raise ValueError("an array without values")
        if not isinstance(data, list):
            self.charge(data)
        array.shape, array.type, array.fortran, array.data = shape, dtype, fortran, data
        return array

    def charge(self, data: bytes | bytearray | str) -> None:
        self.charged += len(data)
        if self.charged > TOTAL:
            raise UnusableError(f"its arrays hold more than {TOTAL >> 30} GiB; cut it into several files")


_PUSH = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
    | {"BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _Mark}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _named(module: object, name: object) -> Name:
    # Only texts are looked at: a text of nested tuples could be exponentially longer than the pickle.
    if not (isinstance(module, str) and isinstance(name, str)):
        raise ValueError("a name that is no text")
    if (module, name) not in _NAMES:
        raise UnusableError(f"its pickle asks for {shown(f'{module}.{name}')}; only NumPy arrays are read")
    return _NAMES[module, name]


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{type(value).__name__} where a {kind.__name__} belongs")
    return value


def _bytes(data: bytes | bytearray | str) -> bytes | bytearray:
    # Python 2 wrote bytes as texts of the characters 0 to 255.
    return data.encode("latin-1") if isinstance(data, str) else data
