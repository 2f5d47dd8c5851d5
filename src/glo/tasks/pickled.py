"""Read a pickled dictionary of plain values and arrays of bytes, in the form of CIFAR-10's Python batches.

Nothing in the file is imported or called.  A small interpreter of pickle's opcodes builds numbers, strings, lists, tuples
and dictionaries; for NumPy's arrays it only records the shape and the bytes that the file states.  `pickle.Unpickler` would
not be safe even if it refused all globals but NumPy's: NumPy trusts the state of a pickled array, and follows pointers in
it.

The memory that a file can ask for is bounded: the opcodes are few and limited in number, and each creates one small object,
or a string from the file's own bytes.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from dataclasses import dataclass
from enum import Enum
from typing import Any

MAX_DIMENSIONS = 4
MAX_KEY = 100  # characters of a key: to compare long equal keys takes time
MAX_STATE = 9  # parts of the state of a dtype
PLAIN = (int, str, bytes, type(None))


class _Global(Enum):
    """The functions and classes that the pickle of an array names, from NumPy 1 or 2, and one for bytes from Python 3."""

    RECONSTRUCT = "numpy.core.multiarray _reconstruct"
    NDARRAY = "numpy ndarray"
    DTYPE = "numpy dtype"
    ENCODE = "_codecs encode"


_GLOBALS = {each.value: each for each in _Global} | {"numpy._core.multiarray _reconstruct": _Global.RECONSTRUCT}


class _ByteType:
    """Stands in for the dtype of unsigned bytes."""


@dataclass(eq=False)
class ByteArray:
    """Stands in for an array of unsigned bytes.

    Attributes:
        shape: of the array; its product is the number of bytes.
        fortran: whether the first index moves fastest, in place of the last.
        content: the bytes; None until the file has stated them.
    """

    shape: tuple[int, ...] = ()
    fortran: bool = False
    content: bytes | None = None


def read_pickled(content: bytes, most_opcodes: int) -> dict[Any, Any]:
    """The dictionary in a pickle of protocol 2, 3 or 4; arrays are `ByteArray`s, and the strings of Python 2 are bytes.

    Raises:
        ValueError: if the pickle has more than `most_opcodes` opcodes, is damaged, or contains anything else than plain
            values and arrays of unsigned bytes.
    """
    machine = _Machine(len(content))
    with warnings.catch_warnings():  # pickletools warns of a backslash in a name, which is refused below
        warnings.simplefilter("ignore")
        for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if number == most_opcodes:
                raise ValueError(f"it has more than {most_opcodes:,} opcodes")
            machine.execute(opcode.name, argument)
    result = machine.pop()
    if not isinstance(result, dict):
        raise ValueError(f"it is a {type(result).__name__}, not a dictionary")
    return result


class _Machine:
    """The stack and the memo of a pickle.

    Args:
        size: of the file; decoded strings may not become longer than this together.
    """

    def __init__(self, size: int) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []  # heights of the stack
        self._memo: dict[int, Any] = {}
        self._encodable = size

    def execute(self, name: str, argument: Any) -> None:
        """Execute one opcode; `argument` is as `pickletools.genops` decodes it.

        Raises:
            ValueError: for an opcode that a batch does not need, or one that does not fit the stack.
        """
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self._stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                self._stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BINUNICODE8":
                self._stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":  # the bytes of Python 2; pickletools decodes them as latin-1
                self._stack.append(argument.encode("latin-1"))
            case "GLOBAL":
                self._stack.append(self._global(argument))
            case "STACK_GLOBAL":
                module, attribute = self._popped(2)
                self._stack.append(self._global(f"{module} {attribute}" if type(module) is type(attribute) is str else ""))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._top()
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._top()
            case "BINGET" | "LONG_BINGET":
                if argument not in self._memo:
                    raise ValueError(f"it refers to the object {argument}, which it does not have")
                self._stack.append(self._memo[argument])
            case _:
                self._build(name)

    def _build(self, name: str) -> None:
        """Execute an opcode that makes a container, or an object from the parts on the stack."""
        match name:
            case "MARK":
                self._marks.append(len(self._stack))
            case "EMPTY_LIST":
                self._stack.append([])
            case "EMPTY_DICT":
                self._stack.append({})
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}[name]
                self._stack.append(tuple(self._popped(count)))
            case "TUPLE":
                self._stack.append(tuple(self._since_mark()))
            case "APPEND" | "APPENDS":
                items = self._popped(1) if name == "APPEND" else self._since_mark()
                self._container(list).extend(items)
            case "SETITEM" | "SETITEMS":
                self._set_items(self._popped(2) if name == "SETITEM" else self._since_mark())
            case "REDUCE":
                called, arguments = self._popped(2)
                self._stack.append(self._called(called, arguments))
            case "BUILD":
                (state,) = self._popped(1)
                self._set_state(self._top(), state)
            case _:
                raise ValueError(f"it has the opcode {name}, which a batch does not need")

    def _global(self, name: str) -> _Global:
        if name not in _GLOBALS:
            raise ValueError(f"it contains {name[:80].replace(' ', '.')!r}")
        return _GLOBALS[name]

    def _set_items(self, items: list[Any]) -> None:
        target = self._container(dict)
        # Other keys, such as nested tuples, may take forever to hash.
        if len(items) % 2 or not all(isinstance(key, bytes | str) and len(key) <= MAX_KEY for key in items[::2]):
            raise ValueError("the keys of a dictionary are not short strings")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _called(self, called: Any, arguments: Any) -> Any:
        """What NumPy's or Python's function would return."""
        match called, arguments:
            case _Global.RECONSTRUCT, (_Global.NDARRAY, (0,), b"b" | "b"):
                return ByteArray()
            case _Global.DTYPE, ("u1" | "|u1" | b"u1" | b"|u1", *_):
                return _ByteType()
            case _Global.DTYPE, (str() | bytes() as kind, *_):
                raise ValueError(f"it has an array of type {kind[:20]!r}, not of unsigned bytes")
            case _Global.ENCODE, (str() as text, "latin1"):
                self._encodable -= len(text)
                if self._encodable < 0:
                    raise ValueError("its strings are longer than the file")
                return text.encode("latin-1")
        raise ValueError("it calls something else than the functions that make an array")

    def _set_state(self, target: Any, state: Any) -> None:
        """Set the state that NumPy saves for an array or a dtype."""
        match target, state:
            case _ByteType(), tuple() if len(state) <= MAX_STATE and all(isinstance(part, PLAIN) for part in state):
                return  # an order of bytes and sizes, which say nothing of single bytes; no fields, no shape
            case ByteArray(content=None), (int(), tuple() as shape, _ByteType(), int() as fortran, bytes() as content):
                if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n <= len(content) for n in shape):
                    raise ValueError(f"it has an array whose shape is not one of {len(content):,} bytes")
                if math.prod(shape) != len(content):
                    raise ValueError(f"it has an array of shape {shape} with {len(content):,} bytes")
                target.shape, target.fortran, target.content = shape, bool(fortran), content
                return
        raise ValueError("it has an array in another form than NumPy's")

    def _top(self) -> Any:
        if len(self._stack) <= self._bottom():
            raise ValueError("its stack is empty")
        return self._stack[-1]

    def _bottom(self) -> int:
        """The height of the stack below which no opcode may take objects."""
        return self._marks[-1] if self._marks else 0

    def pop(self) -> Any:
        """Take the topmost object."""
        return self._popped(1)[0]

    def _popped(self, count: int) -> list[Any]:
        """Take objects from the stack, the deepest first."""
        start = len(self._stack) - count
        if start < self._bottom():
            raise ValueError("its stack is empty")
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _since_mark(self) -> list[Any]:
        if not self._marks:
            raise ValueError("its stack has no mark")
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _container(self, kind: type) -> Any:
        if type(self._top()) is not kind:
            raise ValueError(f"it adds items to a {type(self._top()).__name__}, not to a {kind.__name__}")
        return self._top()
