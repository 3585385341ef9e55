"""Inception-v3, the extractor that published scores use, with its standard weights.

They are those of TensorFlow's graph `inception-2015-12-05`, as pytorch-fid publishes them: in a
file of PyTorch's, which is read here without PyTorch and kept in the user's cache in the form that
Flax takes.

What a pickle names it can call, so a file of weights may name nothing but what tensors are made of.
"""

import hashlib
import http.client
import io
import pickle
import re
import sys
import urllib.request
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Array

from gan_jax.data import cache
from gan_jax.errors import InputError
from gan_jax.metrics.extractors import Extractor, digest
from gan_jax.networks.inception import SIDE, InceptionV3

URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
# By the convention of torch.hub, it begins with what the file's name ends in.
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


def load(path: str | Path | None = None) -> Extractor:
    """Inception-v3 with the weights in a file, by default the standard ones, which are downloaded
    (91 MiB) on first use.

    A file whose name ends in a hyphen and at least eight hexadecimal digits is taken for one that
    was named by PyTorch's convention: its SHA-256 must begin with them.

    The extractor takes pictures of 1 or 3 channels and any size. As in pytorch-fid they are brought
    to 299×299 by bilinear interpolation without a low-pass filter, so that large ones alias.

    Raises:
        InputError: the weights cannot be downloaded or read, are not those their checksum promises,
            or are not of this network.
    """
    variables = jax.tree.map(jnp.asarray, _variables(path))
    # A pytree, so that it can be handed to a compiled function with its weights as arguments.
    apply = jax.tree_util.Partial(_apply, variables)
    # 32 pictures take 2 GB of memory, 256 would take ten.
    return Extractor("inception-v3", apply, batch_size=32, version=digest(variables))


def _apply(variables: dict, pictures: Array) -> tuple[Array, Array]:
    return InceptionV3().apply(variables, prepare(pictures))


def prepare(pictures: Array) -> Array:
    """Pictures [b, h, w, 1 or 3] from 0 to 255, as the network takes them: float32
    [b, 299, 299, 3] from −1 to 1.

    Raises:
        InputError: pictures of another number of channels.
    """
    n, _, _, channels = pictures.shape
    if channels not in (1, 3):
        raise InputError(f"Inception-v3 takes pictures of 1 or 3 channels, not {channels}")
    x = pictures.astype(jnp.float32) / 255
    x = jax.image.resize(x, (n, SIDE, SIDE, channels), "linear", antialias=False)
    return jnp.broadcast_to(2 * x - 1, (n, SIDE, SIDE, 3))


def _variables(path: str | Path | None) -> dict:
    if path is None:
        source, expected = URL, SHA256
        if stored := _stored(SHA256):
            return stored
        data = _download()
    else:
        source = str(path)
        named = re.search(r"-([0-9a-f]{8,64})\.\w+$", source)
        expected = named[1] if named else ""
        try:
            data = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise InputError(f"cannot read weights from {source}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(expected):
        raise InputError(
            f"{source} is damaged or another file: its SHA-256 begins with "
            f"{digest[: min(len(expected), 12)]}, not {expected[:12]}"
        )
    if stored := _stored(digest):
        return stored
    try:
        weights = _read(data)
    except Exception as error:  # a pickle can fail in any way
        raise InputError(f"{source} is not a file of PyTorch weights: {error}") from error
    variables = _converted(weights, source)
    cache.store(_key(digest), **traverse_util.flatten_dict(variables, sep="/"))
    return variables


def _key(digest: str) -> str:
    return f"inception/{digest}"


def _stored(digest: str) -> dict | None:
    arrays = cache.load(_key(digest))
    return traverse_util.unflatten_dict(arrays, sep="/") if arrays else None


def _download() -> bytes:
    print(f"downloading {URL}", file=sys.stderr)
    try:
        with urllib.request.urlopen(URL, timeout=60) as response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"cannot download the weights of Inception-v3 ({error}): download {URL} by hand, and "
            "give the path of the file"
        ) from error


_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def _converted(weights: dict[str, np.ndarray], source: str) -> dict:
    """Weights under PyTorch's names and in its layout, as Flax has them."""
    x = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    shapes = jax.eval_shape(InceptionV3().init, jax.random.key(0), x)
    left = dict(weights)

    def leaf(path, like):
        _, *modules, kind = (key.key for key in path)
        name = ".".join([*modules, _LEAVES[kind]])
        if name not in left:
            raise InputError(
                f"{source} has no {name}: these are not the weights of FID's Inception"
            )
        weight = left.pop(name)
        # From (out, in, height, width) and (out, in).
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(weight.ndim, range(weight.ndim))
        if weight.transpose(axes).shape != like.shape:
            raise InputError(
                f"{name} in {source} has shape {weight.shape}: these are not the weights of FID's "
                "Inception"
            )
        return np.ascontiguousarray(weight.transpose(axes), like.dtype)

    variables = jax.tree_util.tree_map_with_path(leaf, shapes)
    for name in left:
        if not name.endswith(".num_batches_tracked"):
            raise InputError(f"{source} has {name}, which FID's Inception has not")
    return variables


# Files of PyTorch's: a pickled dictionary of tensors, and apart from it the storages, flat arrays
# of which the tensors are views. Since version 1.6 (2020) these are files of a zip archive; before
# that, and to judge by its size in the published file too, they come one after the other.


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


def _read(data: bytes) -> dict[str, np.ndarray]:
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
        dtypes = dict(reversed(tensor.storage) for tensor in tensors.values())
        storages = {}
        for key in _Unpickler(file).load():
            length = int.from_bytes(file.read(8), "little")
            storages[key] = file.read(length * np.dtype(dtypes[key]).itemsize)
    return {name: _view(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, storage: bytes) -> np.ndarray:
    """A tensor as an array; NumPy checks that it lies within its storage."""
    dtype = np.dtype(tensor.storage.dtype)
    strides = [stride * dtype.itemsize for stride in tensor.stride]
    return np.ndarray(tensor.shape, dtype, storage, tensor.offset * dtype.itemsize, strides)
