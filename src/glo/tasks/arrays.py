"""Read the arrays that users have, of any library, as tensors of the task's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glo.errors import RAISED, TaskError

Numbers = Tensor | NDArray[Any]
STRINGS = "strings: encode them as numbers, e.g. by pandas.get_dummies or a scikit-learn OneHotEncoder"
NOT_NUMBERS = {  # by the kind of a numpy dtype
    "U": STRINGS,
    "S": STRINGS,
    "T": STRINGS,
    "c": "complex: give real and imaginary parts as two features",
    "M": "dates: turn them into numbers",
    "m": "durations: turn them into numbers",
    "V": "records: give one column for each field",
}


def read_numbers(value: object, what: str) -> Numbers:
    """The real numbers of a tensor, an array of any library, a data frame, a number, or a list of these.

    The result shares its memory with `value` where it can: see `to_tensor`.

    Args:
        what: names the value in messages, in the plural.

    Raises:
        TaskError: if it does not consist of real numbers; the message says what to do.
    """
    if isinstance(value, Tensor):
        return _check_tensor(value.detach(), what)
    if isinstance(value, list) and any(isinstance(part, Tensor) for part in value):
        return stack([read_numbers(part, f"{what}[{index}]") for index, part in enumerate(value)], what)
    if hasattr(value, "toarray"):
        raise TaskError(f"{what} are sparse: give .toarray(), since a task keeps its data dense")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TaskError(f"{what} have masked values: fill them with .filled(...), or leave these samples out")
    _check_columns(value, what)
    array = _as_array(value, what)
    if array.dtype.kind not in "biuf":
        _refuse(array, value, what)
    return array


def read_labels(value: object, what: str) -> Numbers:
    """Numbers as by `read_numbers`, or the names of classes as an array of strings of shape (N), or () for one.

    Raises:
        TaskError: if it consists neither of real numbers nor of strings.
    """
    if isinstance(value, Tensor):
        return read_numbers(value, what)
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if isinstance(kind, str) and kind in "biuf":
        return read_numbers(value, what)
    if getattr(getattr(value, "dtype", None), "name", "") == "category":
        value = value.astype(object)  # pyright: ignore[reportAttributeAccessIssue] - a Series of pandas
    try:
        array = np.asarray(value, dtype=object)
    except RAISED:
        return read_numbers(value, what)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim > 1 or array.size == 0 or not any(isinstance(part, str) for part in array.flat):
        return read_numbers(value, what)
    if others := sorted({type(part).__name__ for part in array.flat if not isinstance(part, str)}):
        raise TaskError(f"{what} are strings, but some are {', '.join(others[:3])}: leave samples without a label out")
    return array.astype(str)


def is_floating(numbers: Numbers) -> bool:
    """Whether their type is one of floating point."""
    return numbers.is_floating_point() if isinstance(numbers, Tensor) else numbers.dtype.kind == "f"


def is_boolean(numbers: Numbers) -> bool:
    """Whether they are true and false."""
    return numbers.dtype == torch.bool if isinstance(numbers, Tensor) else numbers.dtype.kind == "b"


def dtype_of(numbers: Numbers) -> torch.dtype:
    """The type in which a task keeps inputs: int64 for whole numbers, else float32; also for booleans."""
    return torch.float32 if is_floating(numbers) or is_boolean(numbers) else torch.int64


def to_tensor(numbers: Numbers, dtype: torch.dtype, copy: bool = True) -> Tensor:
    """A contiguous tensor of a type, in the memory of this machine.

    Args:
        copy: whether it must have its own memory.  What comes from numpy always has.
    """
    if isinstance(numbers, Tensor):
        return numbers.to("cpu", dtype, copy=copy, memory_format=torch.contiguous_format).contiguous()
    with np.errstate(over="ignore"):  # an infinity, which the task refuses
        own = np.array(numbers, dtype=torch.empty(0, dtype=dtype).numpy().dtype, order="C")
    return torch.from_numpy(own)


def stack(parts: Sequence[Numbers], what: str) -> Tensor:
    """Parts of one shape in a new tensor: float32 if one of them is floating point, else int64.

    Raises:
        TaskError: if their shapes differ.
    """
    dtype = torch.float32 if any(map(is_floating, parts)) else torch.int64
    for index, part in enumerate(parts):
        check_shape(part, parts[0], index, what)
    return torch.stack([to_tensor(part, dtype, copy=False) for part in parts])


def check_shape(part: Numbers, first: Numbers, index: int, what: str) -> None:
    """Compare the shape of one part with that of the first.

    Raises:
        TaskError: if they differ.
    """
    if part.shape != first.shape:
        shapes = f"{tuple(first.shape)} in item 0 and {tuple(part.shape)} in item {index}"
        raise TaskError(f"{what} have shape {shapes}: pad or cut them to one shape")


def _check_tensor(tensor: Tensor, what: str) -> Tensor:
    if tensor.is_nested:
        raise TaskError(f"{what} are a nested tensor: pad it to one shape, e.g. by .to_padded_tensor(0)")
    if tensor.layout is not torch.strided:
        raise TaskError(f"{what} are sparse: give .to_dense(), since a task keeps its data dense")
    if tensor.is_quantized:
        raise TaskError(f"{what} are quantized: give .dequantize()")
    if tensor.is_complex():
        raise TaskError(f"{what} are {NOT_NUMBERS['c']}")
    if tensor.is_meta:
        raise TaskError(f"{what} are on the device 'meta', which holds no data: give the data itself")
    return tensor.as_subclass(Tensor)


def _check_columns(value: object, what: str) -> None:
    """Name the columns of a data frame that are not numbers, or have missing ones."""
    columns = getattr(value, "columns", None)
    if columns is None or not hasattr(value, "dtypes") or not hasattr(value, "isna"):  # not of pandas
        return
    frame: Any = value
    for name in columns:
        column = frame[name]
        if (missing := int(np.asarray(column.isna()).sum())) > 0:
            raise TaskError(
                f"{what}: column {name!r} has {missing} missing values: fill them, e.g. by df.fillna(...), or leave these "
                "samples out"
            )
        kind = getattr(np.asarray(column[:1]).dtype, "kind", "O")
        if kind in NOT_NUMBERS or any(isinstance(part, str) for part in column.head(100)):
            raise TaskError(f"{what}: column {name!r} has {NOT_NUMBERS[kind if kind in NOT_NUMBERS else 'U']}")


def _as_array(value: object, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(value)
        return np.array(array.tolist()) if array.dtype == object else array  # numbers that were kept as objects
    except RAISED as error:  # the class of the value is the user's, and may raise anything
        if "inhomogeneous" in str(error):
            raise TaskError(f"{what} have rows of unequal length: pad or cut them to one shape") from error
        reason = " ".join(str(error).split())
        raise TaskError(f"{what} ({type(value).__name__}) cannot be read as an array of numbers: {reason}") from error


def _refuse(array: NDArray[Any], value: object, what: str) -> NoReturn:
    if array.dtype.kind in NOT_NUMBERS:
        raise TaskError(f"{what} are {NOT_NUMBERS[array.dtype.kind]}")
    if array.ndim == 0:
        raise TaskError(f"{what} must be an array of numbers, not {type(value).__name__}")
    names = sorted({type(part).__name__ for part in array.flat} - {"bool", "float", "int"})
    raise TaskError(f"{what} contain {', '.join(names[:3]) or 'integers above 2**64'}: give numbers only")
