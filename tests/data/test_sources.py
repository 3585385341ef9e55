"""Sources of real examples: what they give, their cache, and their fingerprints."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Data, Examples, cache, gaussians, images, load, sources
from gan_jax.data.sources import stacked_mnist
from gan_jax.errors import InputError

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


def folder(path, **options):
    load_options = {k: options.pop(k) for k in list(options) if k not in Data.__annotations__}
    return load(Data(source=f"folder:{path}", **options), **load_options)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "own cache"))


# ---- digits ----


def test_digits():
    digits = load(Data(source="digits"))
    assert digits.description.shape == (8, 8, 1)
    assert digits.description.num_classes == 10
    assert digits.description.examples == len(digits.real) == len(digits.label) == 1797
    assert digits.real.dtype == np.uint8
    assert digits.label.dtype == np.int32
    assert list(digits.label[:12]) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    # Sixteenths of full ink: the first row of scikit-learn's first digit is 0 0 5 13 9 1 0 0.
    assert list(digits.real[0, 0, :, 0]) == [0, 0, 80, 207, 143, 16, 0, 0]
    assert (digits.real.min(), digits.real.max()) == (0, 255)


def test_digits_at_another_resolution_and_in_colour():
    digits = load(Data(source="digits", resolution=16, channels=3))
    assert digits.description.shape == (16, 16, 3)
    assert digits.real.shape == (1797, 16, 16, 3)
    np.testing.assert_array_equal(digits.real[..., 0], digits.real[..., 2])


def test_digits_padded_lie_in_the_middle_of_black():
    digits = load(Data(source="digits", resolution=16, fit="pad")).real
    np.testing.assert_array_equal(digits[:, 4:12, 4:12], load(Data(source="digits")).real)
    assert digits.sum() == digits[:, 4:12, 4:12].sum()


# ---- mixtures ----

CENTERS = {
    "ring": [(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4],
    "grid": [(x, y) for y in (-4, -2, 0, 2, 4) for x in (-4, -2, 0, 2, 4)],
}


@pytest.mark.parametrize(("name", "std"), [("ring", 0.01), ("grid", 0.05)])
def test_mixtures_are_gaussians_around_their_centres(name, std):
    points = load(Data(source=name))
    centers = np.array(CENTERS[name])
    modes, n = len(centers), 100_000
    assert points.description.shape == (2,)
    assert points.description.num_classes == modes
    assert points.real.dtype == np.float32
    assert points.real.shape == (n, 2)
    counts = np.bincount(points.label, minlength=modes)
    # Five standard deviations of each estimate.
    assert abs(counts - n / modes).max() < 5 * np.sqrt(n / modes)
    for mode, center in enumerate(centers):
        inside = points.real[points.label == mode]
        assert abs(inside.mean(axis=0) - center).max() < 5 * std / np.sqrt(len(inside))
    noise = (points.real - centers[points.label]) / std
    assert abs(np.cov(noise.T) - np.eye(2)).max() < 5 * np.sqrt(2 / n)


def test_centres():
    np.testing.assert_allclose(gaussians.ring_centers(), CENTERS["ring"], atol=1e-6)
    np.testing.assert_array_equal(gaussians.grid_centers(), CENTERS["grid"])


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_mixtures_follow_the_seed(name):
    one, same, other = (load(Data(source=name), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.real, same.real)
    assert one.description == same.description
    assert not np.array_equal(one.real, other.real)
    assert one.description.fingerprint != other.description.fingerprint


# ---- npz ----


@pytest.mark.parametrize("shape", [(6, 8, 8), (6, 8, 8, 1), (6, 8, 8, 3)])
def test_npz_images(tmp_path, shape):
    images = noise(*shape)
    np.savez(tmp_path / "a.npz", images=images)
    source = load(Data(source=f"npz:{tmp_path}/a.npz"))
    shape = (*shape, 1)[:4]
    assert source.description.shape == shape[1:]
    assert source.description.num_classes is source.label is None
    np.testing.assert_array_equal(source.real, images.reshape(shape))


def test_npz_labels(tmp_path):
    np.savez(tmp_path / "a.npz", images=noise(4, 8, 8), labels=np.array([0, 4, 2, 0]))
    source = load(Data(source=f"npz:{tmp_path}/a.npz"), conditional=True)
    assert (source.description.num_classes, source.description.class_names) == (3, ("0", "2", "4"))
    assert source.label.dtype == np.int32
    assert [source.read(i)[1] for i in range(4)] == [0, 2, 1, 0]


def test_npz_points(tmp_path):
    points = RNG.normal(size=(5, 3))
    np.savez(tmp_path / "a.npz", points=points)
    source = load(Data(source=f"npz:{tmp_path}/a.npz"))
    assert source.description.shape == (3,)
    assert source.real.dtype == np.float32
    np.testing.assert_allclose(source.real, points, rtol=1e-6)


def test_npz_images_are_refitted(tmp_path):
    images = noise(3, 8, 12)
    np.savez(tmp_path / "a.npz", images=images)
    source = load(Data(source=f"npz:{tmp_path}/a.npz", resolution=8))
    np.testing.assert_array_equal(source.real[..., 0], images[:, :, 2:10])


# ---- folders ----


@pytest.mark.parametrize("shape", [(8, 14), (14, 8), (8, 8)])
def test_images_larger_than_wanted_are_cut_in_the_centre(tmp_path, shape):
    image = write(tmp_path / "a.png", noise(*shape))
    top, left = (shape[0] - 8) // 2, (shape[1] - 8) // 2
    source = folder(tmp_path, resolution=8)
    np.testing.assert_array_equal(source.real[0, ..., 0], image[top : top + 8, left : left + 8])


def test_pad_puts_black_around(tmp_path):
    image = write(tmp_path / "a.png", noise(4, 6, 3))
    wanted = np.zeros((8, 8, 3), np.uint8)
    wanted[2:6, 1:7] = image
    np.testing.assert_array_equal(folder(tmp_path, resolution=8, fit="pad").real[0], wanted)


@pytest.mark.parametrize("side", [4, 32])
def test_crop_scales_the_shorter_side(tmp_path, side):
    # Left half black, right half white, on a image twice as wide as high: after cutting the
    # centre, still half and half.
    image = np.zeros((side, 2 * side), np.uint8)
    image[:, side:] = 255
    write(tmp_path / "a.png", image)
    cut = folder(tmp_path, resolution=16, fit="crop").real[0, ..., 0]
    assert cut.shape == (16, 16)
    assert (cut[:, 4] < 10).all()
    assert (cut[:, -5] > 245).all()


@pytest.mark.parametrize("resolution", [None, 8])
def test_images_of_the_right_size_stay_as_they_are(tmp_path, resolution):
    grey, colour = noise(8, 8), noise(8, 8, 3)
    write(tmp_path / "grey" / "a.png", grey)
    write(tmp_path / "colour" / "a.png", colour)
    one = folder(tmp_path / "grey", resolution=resolution)
    three = folder(tmp_path / "colour", resolution=resolution)
    np.testing.assert_array_equal(one.real, grey[None, ..., None])
    np.testing.assert_array_equal(three.real, colour[None])


def test_channels_convert_mixed_images(tmp_path):
    grey = write(tmp_path / "a.png", noise(8, 8))
    write(tmp_path / "b.png", np.full((8, 8, 3), (255, 0, 0), np.uint8))
    three, one = folder(tmp_path, channels=3).real, folder(tmp_path, channels=1).real
    np.testing.assert_array_equal(three[0], np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(three[1, 0, 0], [255, 0, 0])
    np.testing.assert_array_equal(one[0, ..., 0], grey)
    assert (one[1] == 76).all()  # luma of red: 0.299 · 255


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("LA", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)]
)
def test_channels_of_a_mode(tmp_path, mode, channels):
    Image.new(mode, (8, 8)).save(tmp_path / "a.png")
    assert folder(tmp_path).description.shape == (8, 8, channels)


def test_folder_finds_png_and_jpeg_at_any_depth(tmp_path):
    for i, name in enumerate(["b.png", "x/y/c.JPG", "a.jpeg", "x/z.jpg"]):
        write(tmp_path / name, np.full((8, 8), 40 * i, np.uint8))
    (tmp_path / "notes.txt").write_text("not a image")
    (tmp_path / "x" / "data.bin").write_bytes(b"nor this")
    source = folder(tmp_path)
    assert source.description.num_classes is source.label is None
    found = source.real[:, 0, 0, 0].astype(int)
    wanted = [80, 0, 40, 120]  # a.jpeg, b.png, x/y/c.JPG, x/z.jpg
    assert abs(found - wanted).max() <= 2  # JPEG


def test_subfolders_are_classes(tmp_path):
    for i, name in enumerate(["dog/1.png", "cat/1.png", "cat/deep/2.png", "eel/1.png"]):
        write(tmp_path / name, np.full((8, 8), i, np.uint8))
    source = folder(tmp_path, conditional=True)
    assert source.description.num_classes == 3
    by_value = {int(x[0, 0, 0]): int(y) for x, y in zip(source.real, source.label, strict=True)}
    assert by_value == {0: 1, 1: 0, 2: 0, 3: 2}


@pytest.mark.parametrize("budget", [0, 2**30])
def test_budget_decides_what_is_in_memory(tmp_path, budget):
    written = [write(tmp_path / "c" / f"{i}.png", noise(8, 8)) for i in range(5)]
    source = folder(tmp_path, budget_bytes=budget, conditional=True)
    assert isinstance(source, Examples) == (budget > 0)
    assert source.dtype == np.uint8
    assert source.description.examples == 5
    for i in (3, 0, 4):
        image, label = source.read(i)
        np.testing.assert_array_equal(image[..., 0], written[i])
        assert label == 0


def test_a_source_in_memory_or_not_is_described_alike(tmp_path):
    write(tmp_path / "a.png", noise(8, 8))
    assert folder(tmp_path).description == folder(tmp_path, budget_bytes=0).description
    assert isinstance(folder(tmp_path, budget_bytes=63), Examples) is False
    assert isinstance(folder(tmp_path, budget_bytes=64), Examples) is True


# ---- bad images ----


@pytest.fixture
def partly_bad(tmp_path):
    """Images 0 to 5 in two classes, of which 0 is no image and 3 is cut short."""
    for i in range(6):
        write(tmp_path / "data" / "ab"[i % 2] / f"{i}.png", np.full((8, 8), i, np.uint8))
    (tmp_path / "data/a/0.png").write_bytes(b"no image")
    path = tmp_path / "data/b/3.png"
    write(path, noise(8, 8))
    path.write_bytes(path.read_bytes()[:60])
    return tmp_path / "data"


def test_bad_images_are_named(partly_bad):
    with pytest.raises(InputError, match=r"a/0\.png"):
        folder(partly_bad)
    (partly_bad / "a/0.png").unlink()
    with pytest.raises(InputError, match=r"b/3\.png"):
        folder(partly_bad)


def test_bad_images_are_skipped_and_counted(partly_bad):
    source = folder(partly_bad, conditional=True, skip_bad_images=True)
    assert "left out: 2 that cannot be read" in source.notes
    assert source.description.examples == len(source.real) == 4
    assert list(source.real[:, 0, 0, 0]) == [2, 4, 1, 5]
    assert list(source.label) == [0, 0, 1, 1]


def test_other_bad_images_are_other_data(partly_bad):
    def fingerprint():
        return folder(partly_bad, skip_bad_images=True).description.fingerprint

    def spoil(file):  # names and sizes stay
        kept = file.read_bytes()
        file.write_bytes(bytes(len(kept)))
        found = fingerprint()
        file.write_bytes(kept)
        return found

    seen = [fingerprint(), spoil(partly_bad / "a/2.png"), spoil(partly_bad / "a/4.png")]
    assert len(set(seen)) == 3
    assert fingerprint() == seen[0]


def test_bad_images_are_left_out_alike_in_memory_and_streamed(partly_bad):
    options = {"conditional": True, "skip_bad_images": True}
    resident = folder(partly_bad, **options)
    for _ in range(2):  # the second time, which ones are bad is known from the cache
        streamed = folder(partly_bad, **options, budget_bytes=0)
        assert streamed.description == resident.description
        assert streamed.notes == resident.notes
        read = [streamed.read(i) for i in range(4)]  # a/2 a/4 b/1 b/5
        assert [(int(x[0, 0, 0]), y) for x, y in read] == [(2, 0), (4, 0), (1, 1), (5, 1)]


def test_nothing_but_bad_images(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="none of the images can be read"):
        folder(tmp_path, skip_bad_images=True)


# ---- tensorflow-datasets ----


@pytest.mark.parametrize(("name", "shape"), [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))])
def test_tfds(tfds_dir, name, shape):
    import tensorflow_datasets as tfds

    data = Data(source=f"tfds:{name}", split="test[:24]")
    source = load(data, data_dir=str(tfds_dir), conditional=True)
    records = tfds.data_source(name, split="test[:24]", data_dir=tfds_dir)
    assert source.description.shape == shape
    assert source.description.num_classes == 10
    assert source.description.examples == 24
    assert len(np.unique(source.label)) > 3
    for i in (0, 7, 23):
        np.testing.assert_array_equal(source.real[i], records[i]["image"])
        assert source.label[i] == records[i]["label"]


def test_tfds_streamed_and_refitted(tfds_dir):
    directory = str(tfds_dir)
    data = Data(source="tfds:mnist", split="train", resolution=32, fit="pad", channels=3)
    source = load(data, budget_bytes=0, data_dir=directory)
    plain = load(Data(source="tfds:mnist", split="train"), budget_bytes=0, data_dir=directory)
    assert source.description.examples == 60_000
    assert source.description.shape == (32, 32, 3)
    assert source.description.fingerprint != plain.description.fingerprint
    for i in (0, 59_999):
        (image, label), (original, same_label) = source.read(i), plain.read(i)
        np.testing.assert_array_equal(image[2:30, 2:30], np.repeat(original, 3, axis=-1))
        assert label == same_label


def test_tfds_from_the_environment(tfds_dir):
    # It looks at its variable once, when it is imported: in a process of its own.
    code = (
        "from gan_jax.data import Data, load\n"
        "print(load(Data(source='tfds:mnist', split='test[:8]')).description)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TFDS_DATA_DIR": str(tfds_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    here = load(Data(source="tfds:mnist", split="test[:8]"), data_dir=str(tfds_dir))
    assert done.stdout.strip() == str(here.description)


# ---- the cache ----


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    names, read = [], images.read

    def counting(path, *options):
        names.append(path.name)
        return read(path, *options)

    monkeypatch.setattr(images, "read", counting)
    return names


@pytest.fixture
def cached(tmp_path, decoded):
    """A folder that was loaded once, in two classes."""
    for i in range(6):
        write(tmp_path / "data" / "ab"[i % 2] / f"{i}.png", noise(8, 8))
    source = folder(tmp_path / "data", conditional=True)
    assert set(decoded) == {f"{i}.png" for i in range(6)}
    decoded.clear()
    return tmp_path / "data", source


def test_a_second_load_decodes_no_more_than_the_shape(cached, decoded):
    path, first = cached
    second = folder(path, conditional=True)
    assert decoded == ["0.png"]
    np.testing.assert_array_equal(first.real, second.real)
    np.testing.assert_array_equal(first.label, second.label)
    assert first.description == second.description


@pytest.mark.parametrize(
    "options",
    [{"channels": 3}, {"resolution": 4}, {"conditional": False}, {"resolution": 16, "fit": "pad"}],
    ids=str,
)
def test_other_options_are_cached_apart(cached, decoded, options):
    path, _ = cached
    source = folder(path, **{"conditional": True, **options})
    assert set(decoded) == {f"{i}.png" for i in range(6)}
    side, channels = options.get("resolution", 8), options.get("channels", 1)
    assert source.real.shape == (6, side, side, channels)
    assert (source.label is None) == (options.get("conditional") is False)


def test_a_changed_file_is_decoded_again(cached):
    path, before = cached
    changed = 255 - before.real[1, ..., 0]
    file = path / "a" / "2.png"
    stat = file.stat()
    write(file, changed)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    after = folder(path, conditional=True)
    np.testing.assert_array_equal(after.real[1, ..., 0], changed)
    np.testing.assert_array_equal(after.real[2:], before.real[2:])


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "junk", "cut"])
def test_a_broken_cache_is_decoded_again(cached, content):
    path, before = cached
    (file,) = cache.directory().iterdir()
    file.write_bytes(file.read_bytes()[:300] if content is None else content)
    after = folder(path, conditional=True)
    np.testing.assert_array_equal(after.real, before.real)


def test_without_a_place_to_cache_nothing_is_kept(tmp_path, monkeypatch):
    image = write(tmp_path / "data" / "a.png", noise(8, 8))
    (tmp_path / "file").write_text("a file, not a folder")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        np.testing.assert_array_equal(folder(tmp_path / "data").real[0, ..., 0], image)
    assert (tmp_path / "file").read_text() == "a file, not a folder"


def test_what_was_skipped_is_not_cached(partly_bad):
    for _ in range(2):
        assert folder(partly_bad, skip_bad_images=True).notes == (
            "left out: 2 that cannot be read",
        )
    with pytest.raises(InputError, match=r"0\.png"):
        folder(partly_bad)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"GAN_JAX_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b/decoded"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/gan_jax/decoded"),
        ({"HOME": "/home/me"}, "/home/me/.cache/gan_jax/decoded"),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, wanted):
    for name in ("GAN_JAX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(cache.directory()) == wanted


# ---- fingerprints ----


def test_a_fingerprint_stays_when_nothing_changes_or_all_moves(tmp_path):
    write(tmp_path / "data" / "a.png", noise(8, 8))
    before = folder(tmp_path / "data").description.fingerprint
    assert folder(tmp_path / "data").description.fingerprint == before
    os.utime(tmp_path / "data" / "a.png", (0, 0))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert folder(tmp_path / "elsewhere").description.fingerprint == before


def test_a_folders_fingerprint_changes_with_what_it_gives(tmp_path):
    write(tmp_path / "c" / "a.png", noise(8, 8))
    write(tmp_path / "c" / "b.png", noise(8, 8))

    def fingerprints():
        options = [{}, {"channels": 3}, {"resolution": 16}, {"resolution": 16, "fit": "pad"}]
        found = [folder(tmp_path, **o).description.fingerprint for o in options]
        return [*found, folder(tmp_path, conditional=True).description.fingerprint]

    seen = fingerprints()
    write(tmp_path / "c" / "b.png", np.zeros((8, 8), np.uint8))  # another size in bytes
    seen += fingerprints()
    (tmp_path / "c" / "b.png").rename(tmp_path / "c" / "d.png")
    seen += fingerprints()
    (tmp_path / "c").rename(tmp_path / "e")
    seen += fingerprints()
    (tmp_path / "e" / "d.png").unlink()
    seen += fingerprints()
    assert len(set(seen)) == len(seen) == 25


def test_an_arrays_fingerprint_changes_with_its_content(tmp_path):
    path, images, labels = tmp_path / "a.npz", noise(4, 8, 8), np.array([0, 1, 1, 0])

    def fingerprint(**arrays):
        np.savez(path, **arrays)
        return load(Data(source=f"npz:{path}")).description.fingerprint

    plain = fingerprint(images=images)
    assert fingerprint(images=images) == plain
    other = images.copy()
    other[3, 7, 7] ^= 1
    seen = {
        plain,
        fingerprint(images=other),
        fingerprint(images=images, labels=labels),
        fingerprint(images=images, labels=labels[::-1].copy() ^ 1),
        fingerprint(images=images[::-1]),
    }
    assert len(seen) == 5


# ---- parts ----


def test_only_some_classes():
    whole, part = load(Data(source="digits")), load(Data(source="digits", classes=(3, 8)))
    assert part.description.class_names == ("3", "8")
    np.testing.assert_array_equal(np.array([3, 8])[part.label], whole.label[whole.label % 5 == 3])
    np.testing.assert_array_equal(part.real, whole.real[np.isin(whole.label, (3, 8))])
    assert part.description.num_classes == 2
    assert part.description.examples == len(part.real)
    assert part.description.fingerprint != whole.description.fingerprint


def test_a_limit_takes_the_same_examples_from_all_over():
    whole = load(Data(source="digits"))
    few, again, fewer = (load(Data(source="digits", limit=n)) for n in (200, 200, 50))
    np.testing.assert_array_equal(few.real, again.real)
    assert few.description == again.description
    assert few.description.examples == 200
    indices = {x.tobytes(): i for i, x in enumerate(whole.real)}
    positions = [indices[x.tobytes()] for x in few.real]
    assert positions == sorted(positions)
    assert positions[-1] > 1500
    assert {x.tobytes() for x in fewer.real} <= {x.tobytes() for x in few.real}
    assert load(Data(source="digits", limit=5000)).description == whole.description


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (Data(source="digits", classes=(3, 10)), "classes 0 to 9"),
        (Data(source="ring", classes=(8,)), "classes 0 to 7"),
    ],
)
def test_classes_that_there_are_not(data, says):
    with pytest.raises(InputError, match=says):
        load(data)


def test_parts_of_lazy_sources(tmp_path):
    images = [write(tmp_path / f"pics/{i % 2}/{i}.png", noise(8, 8)) for i in range(6)]
    part = folder(tmp_path / "pics", classes=(1,), conditional=True, budget_bytes=0)
    assert part.description.examples == 3
    assert [label for _, label in map(part.read, range(3))] == [0, 0, 0]
    assert (part.description.num_classes, part.description.class_names) == (1, ("1",))
    np.testing.assert_array_equal(part.read(2)[0][..., 0], images[5])


# ---- kinds ----


def test_kinds_are_found_by_how_they_are_named():
    assert {"digits", "grid", "stacked_mnist", "tfds:NAME", "folder:PATH"} <= set(sources.USAGES)
    for usage in sources.USAGES:
        kind, argument = sources.find(usage)
        assert kind.usage == usage
        assert kind.argument == (argument or None)
        assert len(kind.help.splitlines()) == 1


@pytest.mark.parametrize("source", ["digit", "tfds", "npz:", "digits:8", "NAME"])
def test_other_names_are_refused_with_those_that_there_are(source):
    with pytest.raises(InputError) as refusal:
        load(Data(source=source))
    assert [
        usage for usage in (repr(source), *sources.USAGES) if usage not in str(refusal.value)
    ] == []


def test_what_is_drawn_by_the_seed():
    drawn = {kind.name for kind in sources.KINDS.values() if kind.is_drawn}
    assert drawn == {"ring", "grid"}
    assert Data(source="grid").is_drawn
    assert not Data(source="npz:ring").is_drawn


def test_splits_are_for_those_that_have_some():
    sources.check_splits("tfds:mnist")
    sources.check_splits("stacked_mnist")
    with pytest.raises(
        InputError, match=r"only .*stacked_mnist.* and tfds:NAME have splits: ring has"
    ):
        load(Data(source="ring", split="test"))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("fit", "squeeze", "unknown data.fit 'squeeze': one of crop, pad, stretch"),
        ("background", "whit", "data.background is a color, as white or #1e90ff, not 'whit'"),
        ("white", 0, "data.white is above 0, not 0"),
        ("channels", 2, r"data.channels is 1 \(grey\), 3 \(RGB\) or 4 \(RGBA\), not 2"),
        ("resolution", 0, "data.resolution is a side .* or height and width as 48x64, not 0"),
        ("limit", -5, "data.limit is at least 1, not -5"),
    ],
)
def test_settings_are_validated(field, value, says):
    Data().validate("data")
    with pytest.raises(InputError, match=says):
        Data(**{field: value}).validate("data")


def test_settings_are_hashable():
    assert len({Data(), Data(classes=(1, 2)), Data(classes=(1, 2))}) == 2


# ---- stacks ----


def test_stacks_spell_their_class(monkeypatch):
    digits = load(Data(source="digits"))
    mnist = sources.Lazy(digits.description, digits.read, version="digits")
    monkeypatch.setattr(stacked_mnist.tfds, "load", lambda request: mnist)
    monkeypatch.setattr(stacked_mnist, "STACKS", 300)
    stacks = load(Data(source="stacked_mnist"))
    assert stacks.real.shape == (300, 8, 8, 3)
    assert stacks.description.num_classes == 1000
    label_of = {x.tobytes(): label for x, label in zip(digits.real, digits.label, strict=True)}
    for stack, label in zip(stacks.real, stacks.label, strict=True):
        red, green, blue = (label_of[stack[..., i : i + 1].tobytes()] for i in range(3))
        assert label == 100 * red + 10 * green + blue
    assert len(set(stacks.label)) > 150  # of at most 300
    np.testing.assert_array_equal(load(Data(source="stacked_mnist")).real, stacks.real)
    red = stacked_mnist.red_digits(stacks)
    assert [label_of[x.tobytes()] for x in red.real] == list(red.label)
    assert red.description.num_classes == 10
