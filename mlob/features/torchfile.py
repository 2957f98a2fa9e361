"""PyTorch's old weight files, read without PyTorch and without running anything from them.

Such a file is five pickles (magic number, protocol, system, state dict, storage keys), followed by the raw storages
(PyTorch's torch/serialization.py, `_legacy_save`). The pickles are read here and not by `pickle.Unpickler`, which, even
with a strict `find_class`, crashes the process on 300 KB of nested tuples and takes memory for any memo number that a
file claims: pickletools splits the opcodes, those that torch.save writes build plain values, and nothing is imported or
called.
"""

import io
import pathlib
import pickletools
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from mlob.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES = {  # all little-endian, as the system pickle is checked to say
    "torch DoubleStorage": "<f8",
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
}
ORDERED_DICT = "collections OrderedDict"
TENSOR = "torch._utils _rebuild_tensor_v2"
GLOBALS = {ORDERED_DICT, TENSOR, *DTYPES}
OPERANDS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2, "BINPERSID": 1, "REDUCE": 2, "BUILD": 1}
CONSTANTS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


class _Storage(NamedTuple):
    """A run of `length` numbers that the file holds under `key`."""

    key: str
    dtype: str
    length: int


class _Tensor(NamedTuple):
    """A view of a storage; `offset` and `steps` (strides) count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


def read(path: pathlib.Path | str) -> dict[str, np.ndarray]:
    """Read a state dict written by torch.save before PyTorch 1.6 (or without its zip layout).

    Returns:
        {name: read-only array}, in the file's order; an array may be strided as the tensor was.

    Raises:
        InputError: the file cannot be read, is cut short, has another layout, or holds anything but tensors.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if content.startswith(b"PK"):
        raise InputError(
            f"{path} has PyTorch's zip layout, the old one is read here: load it with PyTorch "
            "and write it by torch.save(state, path, _use_new_zipfile_serialization=False)."
        )
    try:
        with warnings.catch_warnings(action="error"):  # of texts with escapes, which torch.save does not write
            return _state(io.BytesIO(content))
    except (ValueError, LookupError, OverflowError, DeprecationWarning) as error:
        raise InputError(
            f"{path} is not a whole state dict in PyTorch's old layout ({error}): copy or download it again."
        ) from error


def _state(file: BinaryIO) -> dict[str, np.ndarray]:
    _require(_unpickled(file) == MAGIC, "the magic number is wrong")
    _require(_unpickled(file) == PROTOCOL, f"the protocol is not {PROTOCOL}")
    system = _unpickled(file)
    _require(isinstance(system, dict) and system.get("little_endian") is True, "it is not little-endian")
    tensors = _unpickled(file)
    _require(isinstance(tensors, dict) and tensors, "it holds no dict of tensors")
    for name, tensor in tensors.items():
        _require(isinstance(tensor, _Tensor), f"entry {name!r:.80} is not a tensor")
    storages = _read_storages(file, {tensor.storage for tensor in tensors.values()})
    return {name: _view(storages[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _read_storages(file: BinaryIO, storages: set[_Storage]) -> dict[str, np.ndarray]:
    """Read the bytes of every storage: a list of keys, then for each an 8-byte count and the numbers."""
    keys = _unpickled(file)
    by_key = {storage.key: storage for storage in storages}
    _require(isinstance(keys, list) and _texts(keys), "its list of storages is strange")
    _require(sorted(keys) == sorted(by_key), "its storages are not its tensors'")
    _require(len(by_key) == len(storages), "a storage is described in two ways")
    data = {key: _read_storage(file, by_key[key]) for key in keys}
    _require(not file.read(1), "something follows the last storage")
    return data


def _read_storage(file: BinaryIO, storage: _Storage) -> np.ndarray:
    dtype = np.dtype(storage.dtype)
    _require(int.from_bytes(file.read(8), "little") == storage.length, "a storage's count is not its tensors'")
    data = file.read(storage.length * dtype.itemsize)  # never more than the file has
    _require(len(data) == storage.length * dtype.itemsize, "the file ends inside a storage")
    return np.frombuffer(data, dtype)


def _view(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """The tensor as a view, allocating nothing; NumPy refuses one that reaches outside of the storage."""
    size = storage.itemsize
    view = np.ndarray(
        tensor.shape, storage.dtype, storage, tensor.offset * size, tuple(step * size for step in tensor.steps)
    )
    _require(view.shape == tensor.shape, "a tensor's shape is negative")  # -1 would be whatever fits
    _require(view.size <= storage.size, "a tensor is larger than its storage")
    return view


def _unpickled(file: BinaryIO) -> Any:
    """One pickle of `file` as plain values, with a _Storage or _Tensor for each that it describes."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        operands = _operands(opcode.name, stack, marks)
        match opcode.name:
            case "PROTO" | "BUILD":  # BUILD gives an ordered dict its modules' versions, which are not read
                pass
            case "MARK":
                marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE":
                stack.append(argument)
            case "GLOBAL":
                _require(argument in GLOBALS, f"it asks for {argument!r:.80}, which is not run")
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE" | "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                stack.append(CONSTANTS[opcode.name]())
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(operands))
            case "APPEND" | "APPENDS":
                _require(isinstance(stack[-1], list), "its pickle appends to what is no list")
                stack[-1].extend(operands)
            case "SETITEM" | "SETITEMS":
                _set_items(stack[-1], operands)
            case "BINPERSID":
                stack.append(_storage(*operands))
            case "REDUCE":
                stack.append(_reduced(*operands))
            case "STOP":
                return stack.pop()
            case other:
                raise ValueError(f"its pickle uses {other}, which torch.save does not write")


def _operands(name: str, stack: list[Any], marks: list[int]) -> list[Any]:
    """Take from the stack what the opcode consumes: all since the last mark, or a known number of values."""
    start = marks.pop() if name in ("TUPLE", "APPENDS", "SETITEMS") else len(stack) - OPERANDS.get(name, 0)
    _require(start >= 0, "its pickle takes more than it gave")
    operands = stack[start:]
    del stack[start:]
    return operands


def _set_items(target: Any, items: list[Any]) -> None:
    keys = items[::2]
    # Texts only: the hash of nested tuples, a legal key elsewhere, can take for ever.
    _require(isinstance(target, dict) and _texts(keys), "its pickle has a strange dict")
    target.update(zip(keys, items[1::2], strict=True))


def _storage(identity: object) -> _Storage:
    match identity:
        case ("storage", str(kind), str(key), str(), count, None) if kind in DTYPES and type(count) is int:
            return _Storage(key, DTYPES[kind], count)
    raise ValueError("a storage is described in an unknown way")


def _reduced(function: object, arguments: Any) -> dict | _Tensor:
    """What the call of an admitted name stands for: an empty dict, or a tensor's description."""
    match arguments:
        case () if function == ORDERED_DICT:
            return {}
        case (_Storage() as storage, offset, tuple(shape), tuple(steps), bool(), dict()) if (
            function == TENSOR and all(type(number) is int for number in (offset, *shape, *steps))  # bool is an int too
        ):
            return _Tensor(storage, offset, shape, steps)
    raise ValueError("its pickle calls in an unknown way")


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _require(condition: object, fault: str) -> None:
    if not condition:
        raise ValueError(fault)
