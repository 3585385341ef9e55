"""Inception-v3 gives pytorch-fid's numbers, and its weights are read from PyTorch's files, without
PyTorch and without trusting them.

The real weights are too large for a test: these have random ones in their place.
"""

import hashlib
import http.server
import pickle
import threading
import zipfile
import zlib

import jax
import numpy as np
import pytest

from gan_jax import paths
from gan_jax.errors import InputError
from gan_jax.evaluation import torch_weights
from gan_jax.evaluation.extractors import inception
from gan_jax.networks.inception import InceptionV3

# Files of PyTorch's, written by hand: a tensor is an array that may be a view.

STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<i8": "LongStorage"}


def _opcodes(value) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]  # less the protocol and the stop


def _global(name: str) -> bytes:
    module, _, name = name.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def _storage(array: np.ndarray) -> np.ndarray:
    """What an array is a view of, from its first element on."""
    extent = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
    shape = (extent // array.itemsize + 1,)
    return np.lib.stride_tricks.as_strided(array, shape, (array.itemsize,))


def _pickled(tensors: dict[str, np.ndarray]) -> bytes:
    items = b""
    for key, (name, array) in enumerate(tensors.items()):
        kind = _global(f"torch.{STORAGES[array.dtype.str]}")
        size = array.size
        storage = _opcodes("storage") + kind + b"".join(map(_opcodes, (str(key), "cpu", size)))
        stride = tuple(s // array.itemsize for s in array.strides)
        view = b"".join(map(_opcodes, (0, array.shape, stride, False)))
        hooks = _global("collections.OrderedDict") + b")R"
        tensor = b"((" + storage + b"tQ" + view + hooks + b"t"
        items += _opcodes(name) + _global("torch._utils._rebuild_tensor_v2") + tensor + b"R"
    return b"\x80\x02" + _global("collections.OrderedDict") + b")R(" + items + b"u."


def write_zip(path, tensors, pickled=None):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled or _pickled(tensors))
        for key, array in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", _storage(array).tobytes())
    return path


def write_legacy(path, tensors):
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            file.write(pickle.dumps(header, protocol=2))
        file.write(_pickled(tensors))
        file.write(pickle.dumps([str(key) for key in range(len(tensors))], protocol=2))
        for array in tensors.values():
            storage = _storage(array)
            file.write(len(storage).to_bytes(8, "little") + storage.tobytes())
    return path


# The network's weights, under PyTorch's names and in its layout.


@pytest.fixture(scope="module")
def specification() -> dict[str, tuple[int, ...]]:
    """The shapes of all parameters and running averages, in alphabetical order."""
    x = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    shapes = jax.eval_shape(InceptionV3().init, jax.random.key(0), x)
    names = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    layouts = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    specification = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        _, *modules, kind = (key.key for key in path)
        shape = tuple(leaf.shape[axis] for axis in layouts[leaf.ndim])
        specification[".".join([*modules, names.get(kind, kind)])] = shape
    return dict(sorted(specification.items()))


@pytest.fixture(scope="module")
def weights(specification):
    """Random, but such that activations keep their size."""
    rng = np.random.default_rng(0)

    def draw(name, shape):
        uniform = rng.random(shape, np.float32)
        if len(shape) > 1:  # He's, for a uniform distribution
            return (2 * uniform - 1) * np.float32((6 / np.prod(shape[1:])) ** 0.5)
        if name.endswith(("bn.weight", "running_var")):
            return uniform + np.float32(0.5)
        return uniform - np.float32(0.5)

    return {name: draw(name, shape) for name, shape in specification.items()}


@pytest.fixture
def cheap(specification):
    """Weights of the right names and shapes, all 0, that take no room in a file."""
    zero = np.zeros((), np.float32)
    return {name: np.broadcast_to(zero, shape) for name, shape in specification.items()}


@pytest.fixture
def images():
    """Random blocks, so that something is left of them after so many averages."""
    blocks = np.random.default_rng(1).random((2, 4, 5, 3)) * 256
    return np.kron(blocks, np.ones((1, 5, 5, 1))).astype(np.uint8)


@pytest.fixture(autouse=True)
def local_only(empty_cache, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_parameters_are_the_published_ones(specification):
    """Their number, and a checksum of their names and shapes, both of pytorch-fid's network:
    `sum(p.numel() for p in net.parameters())`, and crc32 of the repr of
    `sorted((name, tuple(value.shape)) for name, value in net.state_dict().items())` without
    `num_batches_tracked`."""
    parameters = [shape for name, shape in specification.items() if ".running_" not in name]
    assert sum(np.prod(shape) for shape in parameters) == 23_850_960
    assert zlib.crc32(repr(list(specification.items())).encode()) == 417_264_968


def test_outputs_of_known_weights(weights, images, tmp_path):
    """Every 400th feature and every 200th logit, as pytorch-fid 0.3.0 computes them from the same
    weights and images; but the logits lack the output's bias, as published Inception scores do."""
    extractor = inception.load(write_zip(tmp_path / "weights.pth", weights))
    assert extractor.name == "inception-v3"
    features, logits = extractor(images)
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    np.testing.assert_allclose(
        features[:, ::400],
        [
            [1.7721143, 0, 1.4271346, 0, 9.7215958, 7.8801031],
            [1.5021914, 0, 1.5145887, 0, 9.7662764, 8.0298929],
        ],
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        logits[:, ::200] + weights["fc.bias"][::200],
        [
            [-9.4152431, 9.8416357, -27.7874508, -3.3789663, -0.3718800, -5.3265681],
            [-9.4190998, 9.4232969, -27.5599403, -3.2751393, -0.7693560, -5.6630645],
        ],
        rtol=1e-4,
        atol=1e-4,
    )


def test_parity_with_pytorch_fid(weights, images, tmp_path, monkeypatch):
    """Through a file that PyTorch wrote."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("pytorch_fid")
    pytest.importorskip("torchvision", exc_type=(ImportError, RuntimeError))  # of another PyTorch
    from pytorch_fid import inception as fid

    state = {name: torch.from_numpy(weight) for name, weight in weights.items()}
    monkeypatch.setattr(fid, "load_state_dict_from_url", lambda *_, **__: state | counters)
    names = fid._inception_v3(num_classes=1008, aux_logits=False, weights=None).state_dict()
    counters = {name: torch.tensor(7) for name in names if name.endswith("num_batches_tracked")}
    with torch.no_grad():
        x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        features = fid.InceptionV3().eval()(x)[0][:, :, 0, 0]
        logits = features @ state["fc.weight"].T
    torch.save(state | counters, tmp_path / "weights.pth")
    ours = inception.load(tmp_path / "weights.pth")(images)
    for actual, expected in zip(ours, (features.numpy(), logits.numpy()), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * expected.std())


# Images as the network takes them.


def test_interpolation_between_pixel_centres():
    """Enlarged, pixel i of 299 lies at (i + ½)·2/299 − ½ between pixels 0 and 1, and beyond them
    the image goes on as it ends."""
    column = np.array([0, 255], np.uint8).reshape(1, 2, 1, 1)
    x = inception.prepare(np.broadcast_to(column, (1, 2, 3, 3)))
    assert x.shape == (1, 299, 299, 3)
    expected = 2 * np.clip((np.arange(299) + 0.5) * 2 / 299 - 0.5, 0, 1) - 1
    np.testing.assert_allclose(x, np.broadcast_to(expected[:, None, None], x.shape), atol=1e-6)


def test_interpolation_has_no_low_pass_filter():
    """Of a row of 3·299 pixels, pixel i of 299 lies at 3i + 1: the others do not matter."""
    row = np.zeros(3 * 299, np.uint8)
    row[1::3] = np.arange(299) % 256
    x = inception.prepare(np.broadcast_to(row[None, None, :, None], (1, 299, 897, 3)))
    expected = 2 * (np.arange(299) % 256) / 255 - 1
    np.testing.assert_allclose(x, np.broadcast_to(expected[:, None], x.shape), atol=1e-6)


@pytest.mark.parametrize("size", [(28, 28), (299, 299), (320, 500)])
def test_interpolation_agrees_with_pytorch(size):
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    x = torch.nn.functional.interpolate(x, (299, 299), mode="bilinear", align_corners=False)
    expected = (2 * x - 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(inception.prepare(images), expected, atol=1e-5)


def test_grey_images_are_repeated():
    grey = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1)).astype(np.uint8)
    expected = inception.prepare(np.repeat(grey, 3, axis=-1))
    # To the rounding of a resize whose channels are computed together or alone.
    np.testing.assert_allclose(inception.prepare(grey), expected, atol=1e-6)


def test_images_of_other_channels_are_refused():
    with pytest.raises(InputError, match="1, 3 or 4 channels, not 2"):
        inception.prepare(np.zeros((1, 8, 8, 2), np.uint8))


def test_what_is_transparent_is_seen_on_white():
    rgba = np.zeros((3, 8, 8, 4), np.uint8)
    rgba[..., 0], rgba[1:, ..., 3] = 100, [[[51]], [[255]]]
    seen = np.asarray(inception.prepare(rgba))[:, 0, 0]
    wanted = np.array([[255, 255, 255], [224, 204, 204], [100, 0, 0]])
    np.testing.assert_allclose(seen, wanted / 127.5 - 1, atol=1e-6)


# Files.


TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "transposed": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
    "doubles": np.linspace(0, 1, 5),
    "count": np.array(7),
}


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_tensors_are_read(write, tmp_path):
    _assert_equal(torch_weights.read(write(tmp_path / "file.pth", TENSORS).read_bytes()))


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_that_pytorch_saved_are_read(zipped, tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Module()
    for name, array in TENSORS.items():
        module.register_buffer(name, torch.from_numpy(array))
    state = module.state_dict()  # with metadata, which a plain dictionary has not
    torch.save(state, tmp_path / "file.pth", _use_new_zipfile_serialization=zipped)
    _assert_equal(torch_weights.read((tmp_path / "file.pth").read_bytes()))


def _assert_equal(tensors):
    assert tensors.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], expected, strict=True)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_can_call_nothing(zipped, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    pickled = b"\x80\x02" + _global("os.rmdir") + b"(" + _opcodes(str(victim)) + b"tR."
    path = tmp_path / "file.pth"
    if zipped:
        write_zip(path, {}, pickled)
    else:
        path.write_bytes(pickled)
    with pytest.raises(InputError, match=r"file\.pth .*it asks for os\.rmdir"):
        inception.load(path)
    assert victim.is_dir()


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    path = write_zip(tmp_path / "file.pth", {"fc.bias": np.zeros(1008, np.float32)})
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", b"\0" * 4 * 1007)
    with pytest.raises(InputError, match="incompatible with shape"):
        inception.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no pickle", pickle.dumps([1])])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"file\.pth is not a file of PyTorch weights"):
        inception.load(tmp_path / "file.pth")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: No such file"):
        inception.load(tmp_path / "none.pth")


def test_a_missing_weight_is_named(cheap, tmp_path):
    del cheap["Mixed_6a.branch3x3.bn.running_var"]
    with pytest.raises(InputError, match=r"has no Mixed_6a\.branch3x3\.bn\.running_var"):
        inception.load(write_zip(tmp_path / "file.pth", cheap))


def test_a_weight_too_many_is_named(cheap, tmp_path):
    cheap["AuxLogits.fc.bias"] = np.zeros(1008, np.float32)  # as in torchvision's
    with pytest.raises(InputError, match=r"has AuxLogits\.fc\.bias"):
        inception.load(write_zip(tmp_path / "file.pth", cheap))


def test_a_weight_of_another_shape_is_named(cheap, tmp_path):
    cheap["fc.weight"] = np.zeros((1000, 2048), np.float32)  # as in torchvision's
    with pytest.raises(InputError, match=r"fc\.weight in .* has shape \(1000, 2048\)"):
        inception.load(write_zip(tmp_path / "file.pth", cheap))


@pytest.mark.parametrize("checksum", ["6726825d", "0" * 64])
def test_a_checksum_in_the_name_is_verified(checksum, tmp_path):
    path = write_zip(tmp_path / f"inception-{checksum}.pth", TENSORS)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputError, match=f"begins with {digest[:8]}.*, not {checksum[:8]}"):
        inception.load(path)
    with pytest.raises(InputError, match="has no"):  # verified, and read
        inception.load(path.rename(tmp_path / f"inception-{digest[:8]}.pth"))


def test_weights_are_converted_once(cheap, tmp_path, monkeypatch):
    path = write_zip(tmp_path / "file.pth", cheap)
    expected = inception._variables(path)
    with monkeypatch.context() as patch:
        patch.setattr(torch_weights, "read", None)
        jax.tree.map(np.testing.assert_array_equal, inception._variables(path), expected)
    (stored,) = paths.cache_root().rglob("*.npz")
    stored.write_bytes(stored.read_bytes()[:1000])
    jax.tree.map(np.testing.assert_array_equal, inception._variables(path), expected)


# The download.


@pytest.fixture
def server(cheap, tmp_path, monkeypatch):
    """A local server of cheap weights in the place of the real one."""
    content = write_zip(tmp_path / "weights.pth", cheap).read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(server.content)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.content = 0, content
        monkeypatch.setattr(inception, "URL", f"http://127.0.0.1:{server.server_port}/weights.pth")
        monkeypatch.setattr(inception, "SHA256", hashlib.sha256(content).hexdigest())
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_weights_are_downloaded_once(server, tmp_path):
    inception.load()
    inception.load()
    inception.load(tmp_path / "weights.pth")  # the same file by path
    assert server.requests == 1
    assert len(list(paths.cache_root().rglob("*.*"))) == 1


def test_a_damaged_download_is_refused(server):
    server.content = server.content[:-1] + b"?"
    with pytest.raises(InputError, match=r"weights\.pth is damaged"):
        inception.load()
    assert not paths.cache_root().exists()


def test_a_download_that_breaks_off_is_refused(server):
    server.content = server.content[:-1]
    with pytest.raises(InputError, match=r"cannot download .*by hand, and give the path"):
        inception.load()
    assert not paths.cache_root().exists()


def test_a_download_without_a_network_says_what_to_do(monkeypatch):
    monkeypatch.setattr(inception, "URL", "http://127.0.0.1:9/weights.pth")  # nothing listens there
    with pytest.raises(InputError, match=r"download http://127\.0\.0\.1:9/weights\.pth by hand"):
        inception.load()
