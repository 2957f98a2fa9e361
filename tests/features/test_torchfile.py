import collections
import contextlib
import io
import os
import pickle
import sys
import tracemalloc
import types
import zipfile
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlob.errors import InputError
from mlob.features import torchfile

STORAGES = {"<f4": "FloatStorage", "<i8": "LongStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage"}


class Tensor:
    """What PyTorch pickles of a tensor: a view of a flat array, its storage."""

    def __init__(self, flat, offset, shape, steps):
        self.flat = flat
        self.view = (offset, shape, steps)

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.flat, *self.view, False, collections.OrderedDict())


class StoragePickler(pickle.Pickler):
    """Writes an array as PyTorch writes a storage: by its kind, key and count."""

    def persistent_id(self, value):
        if isinstance(value, np.ndarray):
            kind = getattr(sys.modules["torch"], STORAGES[value.dtype.str])
            return ("storage", kind, str(id(value)), "cpu", value.size, None)
        return None


def torch_modules():
    """Stand-ins under PyTorch's names, so that pickle writes these names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    utils._rebuild_tensor_v2 = types.FunctionType((lambda: None).__code__, {}, "_rebuild_tensor_v2")
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    utils._rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    return {"torch": torch, "torch._utils": utils}


def pickled(value):
    stream = io.BytesIO()
    with mock.patch.dict(sys.modules, torch_modules()):
        StoragePickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def framed(state, *flats, magic=torchfile.MAGIC, protocol=1001, little_endian=True, keys=None):
    """The bytes of a file around a pickled state and its storages."""
    flats = sorted({str(id(flat)): flat for flat in flats}.items())
    head = pickled(magic) + pickled(protocol) + pickled({"little_endian": little_endian})
    storages = b"".join(flat.size.to_bytes(8, "little") + flat.tobytes() for _, flat in flats)
    return head + state + pickled([key for key, _ in flats] if keys is None else keys) + storages


def saved(**arrays):
    """The bytes that torch.save writes for named arrays, each on a storage of its own."""
    state = collections.OrderedDict()
    for name, array in arrays.items():
        steps = tuple(step // array.itemsize for step in array.strides)
        state[name] = Tensor(array.ravel(order="K"), 0, array.shape, steps)
    state._metadata = {"": {"version": 1}}
    return framed(pickled(state), *(tensor.flat for tensor in state.values()))


def read(folder, content):
    path = folder / "weights.pth"
    path.write_bytes(content)
    return torchfile.read(path)


def refused(folder, content, match):
    with pytest.raises(InputError, match=match):
        read(folder, content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("torchfile")


ARRAYS = {
    "kernel": np.arange(12, dtype="<f4").reshape(2, 3, 2),
    "turned": np.arange(6, dtype="<f8").reshape(2, 3).T,
    "half": np.float16([0.5, -2]),
    "count": np.array(7, dtype="<i8"),
}
FLAT = np.arange(6, dtype="<f4")
SMALL = saved(**ARRAYS)


def test_what_was_saved_is_read(folder):
    arrays = read(folder, SMALL)
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array, strict=True)


def test_two_tensors_may_share_a_storage(folder):
    state = {"row": Tensor(FLAT, 2, (4,), (1,)), "tied": Tensor(FLAT, 2, (4,), (1,))}
    arrays = read(folder, framed(pickled(state), FLAT))
    np.testing.assert_array_equal(arrays["row"], FLAT[2:])
    assert np.shares_memory(arrays["row"], arrays["tied"])


@settings(deadline=None, max_examples=200)
@given(st.integers(-1, 7), st.lists(st.tuples(st.integers(1, 4), st.integers(-1, 4)), max_size=3))
def test_a_view_is_read_exactly_where_it_stays_inside_its_storage(folder, offset, axes):
    shape, steps = tuple(size for size, _ in axes), tuple(step for _, step in axes)
    content = framed(pickled({"view": Tensor(FLAT, offset, shape, steps)}), FLAT)
    places = np.full(shape, offset)
    for along, step in zip(np.indices(shape), steps, strict=True):
        places = places + along * step
    if places.min() >= 0 and places.max() < FLAT.size and places.size <= FLAT.size:
        np.testing.assert_array_equal(read(folder, content)["view"], FLAT[places])
    else:
        refused(folder, content, "weights.pth is not a whole state dict")


@pytest.mark.parametrize(
    ("offset", "shape", "steps"),
    [
        (0, (10**12,), (0,)),
        (0, (2**70,), (1,)),
        (0, (1, 1), (2**70, 1)),
        (2**70, (1,), (1,)),
        (0, (1,) * 70, (1,) * 70),
        (0, (2, 3), (1,)),
        (0, ("6",), (1,)),
        (0, (-6,), (1,)),
        (0, (-1,), (0,)),
        (0, (True,), (1,)),
        (0, (1,), (True,)),
        (False, (1,), (1,)),
    ],
)
def test_an_absurd_view_is_refused(folder, offset, shape, steps):
    content = framed(pickled({"view": Tensor(FLAT, offset, shape, steps)}), FLAT)
    refused(folder, content, "weights.pth is not a whole state dict")


PLAIN = st.none() | st.booleans() | st.integers(-1, 7) | st.integers() | st.text(max_size=2)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(PLAIN | st.integers(0, 1), st.lists(PLAIN, max_size=2).map(tuple), st.lists(PLAIN, max_size=2).map(tuple))
def test_a_view_of_any_values_gives_an_array_or_an_input_error(folder, offset, shape, steps):
    try:
        found = read(folder, framed(pickled({"view": Tensor(FLAT, offset, shape, steps)}), FLAT))["view"]
    except InputError:
        return
    assert all(type(value) is int for value in (offset, *shape, *steps)) and found.shape == shape


def test_a_file_cut_short_anywhere_is_refused(folder):
    for length in range(0, len(SMALL), 5):
        refused(folder, SMALL[:length], "copy or download it again")


def test_bytes_after_the_last_storage_are_refused(folder):
    refused(folder, SMALL + b"\0", "something follows")


@settings(deadline=None, max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@example([(75, 92)])  # a backslash in a name, of which Python warns
def test_a_damaged_file_gives_arrays_or_an_input_error(folder, edits):
    content = bytearray(SMALL)
    for position, value in edits:
        content[position] = value
    try:
        arrays = read(folder, bytes(content))
    except InputError:
        return
    assert all(type(array) is np.ndarray for array in arrays.values())


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_a_pickle_of_any_bytes_gives_an_input_error(folder, state):
    refused(folder, framed(state), "weights.pth is not a whole state dict")


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_a_call_in_the_file_is_refused_and_not_run(folder):
    marker = folder / "marker"
    refused(folder, framed(pickled(Call(os.system, f"touch '{marker}'"))), "system', which is not run")
    refused(folder, framed(pickled({"a": Call(eval, f"open({str(marker)!r}, 'w')")})), "__builtin__ eval")
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"numpy\nndarray",
        b"numpy.core.multiarray\n_reconstruct",
        b"collections\nOrderedDict.fromkeys",
        b"collections\nCounter",
        b"torch._utils\n_rebuild_parameter_with_state",
        b"torch\nBFloat16Storage",
        b"builtins\ngetattr",
    ],
)
def test_other_names_are_refused(folder, name):
    refused(folder, framed(b"\x80\x02c" + name + b"\n."), "which is not run")


def test_later_protocols_cannot_name_what_protocol_2_may_not(folder):
    refused(folder, framed(pickle.dumps(os.system, protocol=4)), "which torch.save does not write")


@pytest.mark.parametrize("call", [b"(K\x01tR.", b"(U\x01atR.", b"}\x85R.", b"K\x01R."])
def test_admitted_names_are_called_only_as_torch_calls_them(folder, call):
    state = b"\x80\x02ccollections\nOrderedDict\n" + call
    refused(folder, framed(state), "its pickle (calls in an unknown way|uses SHORT_BINSTRING)")


@pytest.mark.parametrize("target", [b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n", b"K\x01"])
def test_a_state_given_to_what_is_no_ordered_dict_changes_nothing(folder, target):
    state = b"}X\x0c\x00\x00\x00__setstate__ccollections\nOrderedDict\nsb"
    refused(folder, framed(b"\x80\x02" + target + state + b"."), "it holds no dict")
    assert not hasattr(collections.OrderedDict, "__setstate__")
    assert list(read(folder, SMALL)) == list(ARRAYS)


def test_an_attribute_of_the_dict_cannot_hide_its_entries(folder):
    state = collections.OrderedDict(a=Tensor(FLAT, 0, (6,), (1,)))
    state.itemz = state.valuez = "hidden"  # pickle itself could not write a dict without its methods
    content = framed(pickled(state), FLAT).replace(b"itemz", b"items").replace(b"valuez", b"values")
    np.testing.assert_array_equal(read(folder, content)["a"], FLAT)


def test_nested_tuples_as_a_key_are_refused(folder):
    deep = b"\x80\x02})" + b"\x85" * 300_000 + b"Ns."  # crashes pickle.Unpickler
    wide = b"\x80\x02})" + b"q\x01h\x01\x86" * 100 + b"Ns."  # its hash takes 2 ** 100 steps
    for state in (deep, wide):
        refused(folder, framed(state), "strange dict")


def claiming(count):
    """A file whose storage is said to hold `count` numbers, by its description and in front of its bytes."""
    content = framed(pickled({"a": Tensor(FLAT, 0, (6,), (1,))}), FLAT)
    described, stored = b"K\x06N", (6).to_bytes(8, "little")
    assert content.count(described) == content.count(stored) == 1
    claim = count.to_bytes(8, "little", signed=True)
    return content.replace(described, b"\x8a\x08" + claim + b"N").replace(stored, claim)


@pytest.mark.parametrize(
    "content",
    [
        framed(b"\x80\x02}r\xff\xff\xff\x7f."),  # a memo number of 2 ** 31 - 1
        framed(b"\x80\x02X\xff\xff\xff\x7fabc."),  # a text of 2 GB
        claiming(2**29),  # a storage of 2 GB
    ],
)
def test_what_a_file_claims_takes_no_memory(folder, content):
    tracemalloc.start()
    with contextlib.suppress(InputError):
        read(folder, content)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2**20


@pytest.mark.parametrize("count", [5, 7, 2**40, 2**62, 0, -1])
def test_a_storage_that_does_not_fill_the_rest_of_the_file_is_refused(folder, count):
    assert list(read(folder, claiming(6))) == ["a"]
    refused(folder, claiming(count), "weights.pth is not a whole state dict")


def test_a_storage_of_another_count_than_its_tensors_say_is_refused(folder):
    content = framed(pickled({"a": Tensor(FLAT, 0, (6,), (1,))}), FLAT)
    refused(folder, content.replace((6).to_bytes(8, "little"), (5).to_bytes(8, "little")), "count is not")


def test_another_head_is_refused(folder):
    state = pickled({"a": Tensor(FLAT, 0, (6,), (1,))})
    refused(folder, framed(state, FLAT, magic=12), "magic number")
    refused(folder, framed(state, FLAT, protocol=1002), "protocol")
    refused(folder, framed(state, FLAT, little_endian=False), "little-endian")


def test_what_is_no_state_dict_is_refused(folder):
    refused(folder, framed(pickled([1])), "holds no dict")
    refused(folder, framed(pickled({})), "holds no dict of tensors")
    refused(folder, framed(pickled({"epoch": 3})), "'epoch' is not a tensor")
    tensor = Tensor(FLAT, 0, (6,), (1,))
    refused(folder, framed(pickled({"state_dict": {"a": tensor}}), FLAT), "'state_dict' is not a tensor")
    refused(folder, framed(pickled({3: tensor}), FLAT), "strange dict")


def test_a_storage_that_is_not_listed_is_refused(folder):
    refused(folder, framed(pickled({"a": Tensor(FLAT, 0, (6,), (1,))})), "storages are not its tensors'")


@pytest.mark.parametrize("keys", ["text", [1, "a"], [((),)], {}])
def test_a_strange_list_of_storages_is_refused(folder, keys):
    state = pickled({"a": Tensor(FLAT, 0, (6,), (1,))})
    refused(folder, framed(state, FLAT, keys=keys), "list of storages is strange")


@pytest.mark.parametrize("state", [b"}K\x01a.", b"}(K\x01e.", b"K\x01K\x01K\x01s."])
def test_a_pickle_that_fills_the_wrong_thing_is_refused(folder, state):
    refused(folder, framed(b"\x80\x02" + state), "appends to what is no list|strange dict")


def test_a_storage_described_in_two_ways_is_refused(folder):
    state = {"a": Tensor(FLAT, 0, (6,), (1,)), "b": Tensor(FLAT, 0, (6,), (1,))}
    content = framed(pickled(state), FLAT)
    first, second = content.index(b"K\x06N"), content.rindex(b"K\x06N")
    assert first != second
    refused(folder, content[: first + 1] + b"\x05" + content[first + 2 :], "described in two ways")


def test_the_zip_layout_is_named_with_its_mend(folder):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", SMALL)
    refused(folder, stream.getvalue(), "_use_new_zipfile_serialization=False")


def test_a_missing_file_and_a_text_are_refused(folder):
    with pytest.raises(InputError, match=r"absent\.pth cannot be read"):
        torchfile.read(folder / "absent.pth")
    refused(folder, b"<!DOCTYPE html><title>Not found</title>", "weights.pth is not a whole state dict")
