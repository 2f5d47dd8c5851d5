"""Describe a user's function by its code and the values that it uses, in a text that is the same in every process.

A function counts by its compiled code instead of its source text, since a function that was sent to another process has no
source there.  File names, line numbers, addresses and the order of sets never count.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from operator import itemgetter
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Results record the versions of these, so their code counts by name even where it runs from a source tree.
RECORDED = frozenset({"glo", "numpy", "torch"})
# Types whose repr gives the whole value.
LITERALS = (bytes, bytearray, complex, Decimal, Fraction, range, type(...), np.dtype, torch.dtype, torch.device)
# Types whose objects only refer to others, by these attributes.
HOLDERS: dict[type, tuple[str, ...]] = {
    MethodType: ("__func__", "__self__"),
    functools.partial: ("func", "args", "keywords"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    functools.cached_property: ("func",),
}


def describe(value: object) -> str:
    """A text (JSON) that is equal for two values if they behave alike, as far as glo can tell.

    - Numbers, strings, containers, arrays and tensors count by value.
    - Functions count by code, default values, closure and the global variables that they read, recursively.
    - The user's own classes count by their methods; their objects, and all callable objects, by class and attributes.
    - Code of installed packages counts by qualified name, and so does everything else.
    """
    return _Walk(frozenset()).describe(value)


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The content of a tensor on any device; not copied unless necessary."""
    dense = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
    return dense.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


class _Walk:
    """Describes a value, and then each object that it refers to.

    A reference to an object is described by the object's number, so that references may be circular.  Objects are numbered
    in the order in which the walk meets them, which is the same in every process.

    Args:
        outer_sets: ids of the sets that contain the value.
    """

    def __init__(self, outer_sets: frozenset[int]) -> None:
        self._outer_sets = outer_sets
        self._numbers: dict[int, int] = {}  # by id
        self._objects: list[object] = []

    def describe(self, value: object) -> str:
        root = self._value(value)
        objects = [self._object(met) for met in self._objects]  # describing an object may add others to the list
        return json.dumps([root, objects])

    def _value(self, value: object) -> Any:
        if isinstance(value, Enum):
            return ["enum", type(value).__qualname__, value.name, self._value(value.value)]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, LITERALS):
            return ["literal", repr(value)]
        if isinstance(value, Tensor):
            return ["tensor", str(value.dtype), list(value.shape), _hash(tensor_bytes(value))]
        if isinstance(value, np.ndarray | np.generic):
            return self._array(np.asarray(value))
        if isinstance(value, tuple):
            return ["tuple", *map(self._value, value)]
        if isinstance(value, frozenset):
            return self._set(value)
        if isinstance(value, CodeType):
            return self._code(value)
        if isinstance(value, ModuleType):
            return ["module", value.__name__]
        for kind, parts in HOLDERS.items():
            if isinstance(value, kind):
                return [kind.__name__, *(self._value(getattr(value, part)) for part in parts)]
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return ["object", self._numbers[id(value)]]

    def _object(self, value: object) -> Any:
        if isinstance(value, list):
            return ["list", *map(self._value, value)]
        if isinstance(value, set):
            return self._set(value)
        if isinstance(value, dict | MappingProxyType):
            items = [(json.dumps(self._value(key)), item) for key, item in value.items()]
            return ["dict", *([key, self._value(item)] for key, item in sorted(items, key=itemgetter(0)))]
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        return self._instance(value)

    def _array(self, array: NDArray[Any]) -> Any:
        content = (
            self._value(array.tolist())
            if array.dtype.hasobject
            else _hash(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        )
        return ["array", array.dtype.str, list(array.shape), content]

    def _set(self, elements: set[Any] | frozenset[Any]) -> Any:
        """Each element is described by a walk of its own, since the order of the elements differs between processes."""
        if id(elements) in self._outer_sets:
            return "outer set"
        outer_sets = self._outer_sets | {id(elements)}
        return ["set", *sorted(_Walk(outer_sets).describe(element) for element in elements)]

    def _code(self, code: CodeType) -> Any:
        counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
        names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
        return ["code", code.co_code.hex(), code.co_exceptiontable.hex(), counts, names, self._value(code.co_consts)]

    def _function(self, function: FunctionType) -> Any:
        module, code = str(function.__globals__.get("__name__")), function.__code__
        if _is_installed(module, code.co_filename):  # in other attributes the package may keep anything, even addresses
            body, attributes = f"{module}.{code.co_qualname}", getattr(function, "__wrapped__", None)
        else:
            variables = function.__globals__
            read = {name: variables[name] for name in _global_names(code) if name in variables}
            body, attributes = [self._code(code), self._variables(read, _names(code))], _attributes(function)
        values = function.__defaults__, function.__kwdefaults__, _closure_values(function), attributes
        return ["function", body, *map(self._value, values)]

    def _variables(self, variables: Mapping[str, object], names: set[str], outer: tuple[object, ...] = ()) -> Any:
        """Global variables, and in place of the user's own modules their members that the code may use.

        Args:
            names: all names of variables and attributes in the code.
            outer: the modules whose members these are.
        """
        found: list[Any] = []
        for name, value in sorted(variables.items()):
            own = isinstance(value, ModuleType) and not _is_installed(value.__name__, _file_of(value.__name__))
            if own and value not in outer:
                members = {member: getattr(value, member) for member in names if hasattr(value, member)}
                found.append([name, self._variables(members, names, (*outer, value))])
            elif not _is_special(name):
                found.append([name, self._value(value)])
        return found

    def _class(self, cls: type) -> Any:
        if _is_installed(cls.__module__, _file_of(cls.__module__)):
            return ["class", _qualified(cls)]
        members = [
            [name, self._value(member)]
            for name, member in sorted(vars(cls).items())
            if callable(member) or not _is_special(name)
        ]
        return ["class", self._value(cls.__bases__), members]

    def _instance(self, value: object) -> Any:
        cls = type(value)
        if not _is_installed(cls.__module__, _file_of(cls.__module__)):
            return ["instance", self._value(cls), self._value(_attributes(value))]
        if not callable(value):
            return ["instance", _qualified(cls)]
        name = ""
        if inspect.isroutine(value) or isinstance(value, np.ufunc):  # a function in C
            name = str(getattr(value, "__qualname__", None) or getattr(value, "__name__", ""))
        owner = value.__self__ if isinstance(value, BuiltinFunctionType | MethodWrapperType) else None
        return ["callable", _qualified(cls), name, self._value(owner), self._value(_attributes(value))]


def _is_installed(module: str, file: str) -> bool:
    """Whether a module belongs to Python or to an installed package, whose code counts by name."""
    if module in ("__main__", "__mp_main__"):  # in a worker, their file is the worker's
        return False
    package = module.partition(".")[0]
    if package in RECORDED or package in sys.stdlib_module_names:
        return True
    return not {"site-packages", "dist-packages"}.isdisjoint(PurePath(file).parts)


def _file_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""


def _qualified(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _nested(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _global_names(code: CodeType) -> set[str]:
    return {
        instruction.argval
        for part in _nested(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname == "LOAD_GLOBAL"
    }


def _names(code: CodeType) -> set[str]:
    return {name for part in _nested(code) for name in part.co_names}


def _closure_values(function: FunctionType) -> list[object]:
    values: list[object] = []
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # the variable has no value yet
            values.append(None)
    return values


def _attributes(value: object) -> dict[str, object]:
    """An object's attributes, without the special ones that Python sets."""
    found = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                found[name] = getattr(value, name)
    return {name: item for name, item in found.items() if not _is_special(name) or name == "__wrapped__"}


def _hash(content: bytes | memoryview) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
