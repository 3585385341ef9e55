"""Files of PyTorch's weights, read without PyTorch and without trusting them.

They hold a pickled dictionary of tensors, and apart from it the storages, flat arrays of which the
tensors are views. Since version 1.6 (2020) these are files of a zip archive; before that, and to
judge by its size in the published file of Inception too, they come one after the other.

What a pickle names it can call, so such a file may name nothing but what tensors are made of.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gan_jax.errors import InputError


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_NAMES = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": lambda *arguments: _Tensor(*arguments[:4]),
    "torch.DoubleStorage": "<f8",
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.IntStorage": "<i4",
    "torch.LongStorage": "<i8",
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return _NAMES[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def persistent_load(self, pid):
        _, dtype, key, *_ = pid
        return _Storage(dtype, key)


def read(data: bytes) -> dict[str, np.ndarray]:
    """The tensors in a file of PyTorch's, by name."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            tensors = _Unpickler(archive.open(index)).load()
            keys = {tensor.storage.key for tensor in tensors.values()}
            storages = {key: archive.read(f"{index[:-4]}/{key}") for key in keys}
    else:
        file = io.BytesIO(data)
        for _ in ("magic number", "version", "sizes of integers"):
            _Unpickler(file).load()
        tensors = _Unpickler(file).load()
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
        storages = {}
        for key in _Unpickler(file).load():
            length = int.from_bytes(file.read(8), "little")
            storages[key] = file.read(length * np.dtype(dtypes[key]).itemsize)
    return {name: _view(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def contents(path: str | Path) -> bytes:
    """Of a file of weights.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"cannot read weights from {path}: {error.strerror}") from error


def tensors(data: bytes, source: str) -> dict[str, np.ndarray]:
    """As `read`, of a file that may be anything; `source` is what an error calls it.

    Raises:
        InputError: it is no file of PyTorch's weights.
    """
    try:
        return read(data)
    except Exception as error:  # a pickle can fail in any way
        raise InputError(f"{source} is not a file of PyTorch weights: {error}") from error


def _view(tensor: _Tensor, storage: bytes) -> np.ndarray:
    """A tensor as an array; NumPy checks that it lies within its storage."""
    dtype = np.dtype(tensor.storage.dtype)
    strides = [stride * dtype.itemsize for stride in tensor.stride]
    return np.ndarray(tensor.shape, dtype, storage, tensor.offset * dtype.itemsize, strides)


_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def fitted(
    weights: dict[str, np.ndarray], module: nn.Module, side: int, *, source: str, network: str
) -> PyTree:
    """Weights under PyTorch's names and in its layout, as the variables of a network of colored
    images [b, side, side, 3], whose modules have the same names.

    Args:
        source: Where they are from, and
        network: what they should be of, in the words of an error.

    Raises:
        InputError: they are of another network.
    """
    x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    left = dict(weights)

    def leaf(path, like):
        _, *modules, kind = (key.key for key in path)
        name = ".".join([*modules, _LEAVES[kind]])
        if name not in left:
            raise InputError(f"{source} has no {name}: these are not the weights of {network}")
        weight = left.pop(name)
        # From (out, in, height, width) and (out, in).
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(weight.ndim, range(weight.ndim))
        if weight.transpose(axes).shape != like.shape:
            raise InputError(
                f"{name} in {source} has shape {weight.shape}: these are not the weights of "
                f"{network}"
            )
        return np.ascontiguousarray(weight.transpose(axes), like.dtype)

    variables = jax.tree_util.tree_map_with_path(leaf, shapes)
    for name in left:
        if not name.endswith(".num_batches_tracked"):
            raise InputError(f"{source} has {name}, which {network} has not")
    return variables
