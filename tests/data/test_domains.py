"""Images of two domains: where they come from, and what is cut out of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Described, Description, Domains, prepare
from gan_jax.data.domains import Data
from gan_jax.errors import InputError

KEY = jax.random.key(0)


def write(path, values, *, side=16, channels=3):
    """Images that are of one value each."""
    path.mkdir(parents=True, exist_ok=True)
    shape = (side, side) if channels == 1 else (side, side, channels)
    for i, value in enumerate(values):
        Image.fromarray(np.full(shape, value, np.uint8)).save(path / f"{i:02}.png")
    return path


def domains(source, source_b=None, **options):
    return Domains(source=str(source), source_b=source_b, **{"resolution": 16} | options)


def values(stream):
    """Of all images of a stream, which are of one value each."""
    n = stream.source.description.examples
    images = np.stack([stream.source.read(i)[0] for i in range(n)])
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


@pytest.fixture
def folders(tmp_path):
    """Domains of different sizes, in the folders that CycleGAN's datasets come in."""
    for name, first, n in (
        ("trainA", 0, 5),
        ("trainB", 100, 3),
        ("testA", 50, 2),
        ("testB", 150, 4),
    ):
        write(tmp_path / "pictures" / name, range(first, first + n))
    return tmp_path / "pictures"


@pytest.mark.parametrize("budget", [0, 2**30], ids=["streamed", "resident"])
def test_folders_of_the_usual_names(folders, budget):
    section = domains(f"folder:{folders}")
    a, b = section.load(budget_bytes=budget)
    assert (a.name, b.name) == ("a", "b")
    assert (values(a), values(b)) == ([0, 1, 2, 3, 4], [100, 101, 102])
    assert a.source.description.shape == (18, 18, 3)  # 1.117 · 16 = 17.9
    a, b = section.load(split="test", side=16)
    assert (values(a), values(b)) == ([50, 51], [150, 151, 152, 153])
    assert b.source.description.shape == (16, 16, 3)


def test_each_domain_is_read_in_an_order_of_its_own(folders):
    write(folders / "trainB", range(100, 105))
    a, b = (stream.order(0, 2) for stream in domains(f"folder:{folders}").load())
    assert (a.examples, b.examples) == (5, 5)
    orders = [np.concatenate([order.batch(i) for i in range(10)]) for order in (a, b)]
    assert not np.array_equal(*orders)


def test_two_paths(folders):
    section = domains(f"folder:{folders}/testA", f"folder:{folders}/trainB")
    a, b = section.load()
    assert (values(a), values(b)) == ([50, 51], [100, 101, 102])


def test_two_paths_have_no_splits(folders):
    """Training images must not be taken for those of a test."""
    section = domains(f"folder:{folders}/testA", f"folder:{folders}/trainB")
    with pytest.raises(InputError, match=r"testA holds no splits"):
        section.load(split="test")


def test_two_sources_of_different_kinds(folders, tmp_path):
    images = np.full((2, 16, 16, 3), 7, np.uint8)
    np.savez(tmp_path / "b.npz", images=images)
    a, b = domains(f"folder:{folders}/testA", f"npz:{tmp_path}/b.npz", scaled_to=16).load()
    assert (values(a), values(b)) == ([50, 51], [7, 7])


def test_splits_of_a_dataset(tfds_dir):
    name = "cycle_gan/summer2winter_yosemite"
    if not (tfds_dir / name).is_dir():
        pytest.skip(f"{name} is not prepared")
    section = domains(f"tfds:{name}", limit=3)
    sizes = [
        [stream.source.description.examples for stream in domains(f"tfds:{name}").load(
            split=split, data_dir=str(tfds_dir)
        )]
        for split in ("train", "test")
    ]  # fmt: skip
    assert sizes == [[1231, 962], [309, 238]]
    a, b = section.load(data_dir=str(tfds_dir))
    assert a.source.description.examples == b.source.description.examples == 3
    assert a.source.read(0)[0].shape == (18, 18, 3)
    assert not np.array_equal(a.source.read(0)[0], b.source.read(0)[0])
    with pytest.raises(InputError, match=r"no split 'fallA'.*trainA"):
        section.load(split="fall", data_dir=str(tfds_dir))


def refused(section, match, **options):
    with pytest.raises(InputError, match=match) as error:
        section.load(**options)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_missing(folders):
    refused(domains(f"folder:{folders}"), r"no folder .*valA: .* as valA and valB", split="val")
    (folders / "trainB").rename(folders / "elsewhere")
    refused(domains(f"folder:{folders}"), r"no folder .*trainB: .*data\.source_b")
    refused(domains(f"folder:{folders}/trainA", f"folder:{folders}/no"), r"no folder .*/no$")


def test_a_folder_that_is_empty(folders):
    for file in (folders / "trainB").iterdir():
        file.unlink()
    refused(domains(f"folder:{folders}"), r"no images in .*trainB")


def test_domains_of_different_channels(folders):
    write(folders / "trainB", range(100, 103), channels=1)
    refused(
        domains(f"folder:{folders}"), r"domains differ: \(18, 18, 3\) and \(18, 18, 1\); set data"
    )
    a, b = domains(f"folder:{folders}", channels=1).load()
    assert a.source.description.shape == b.source.description.shape == (18, 18, 1)


def test_a_domain_of_mixed_channels(folders):
    write(folders / "trainA", [9], channels=1)
    refused(domains(f"folder:{folders}"), r"mixed channels.*set data\.channels")


def test_points_are_no_images():
    refused(domains("ring", "grid"), r"holds points, and domains are of images")
    refused(domains("ring", "digits"), r"points|differ")


def test_one_domain_alone():
    refused(domains("digits"), r"digits is one domain: name the other one by data\.source_b")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"channels": 2}, r"data\.channels is 1"),
        ({"resolution": 64, "scaled_to": 60}, r"data\.scaled_to 60 leaves nothing to cut 64"),
        ({"resolution": 8}, r"data\.resolution"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_a_line(options, match):
    with pytest.raises(InputError, match=match) as error:
        domains("digits", **options).validate("data")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("resolution", "side"), [(256, 286), (64, 72), (128, 143), (16, 18)])
def test_images_are_kept_a_little_larger_than_they_are_seen(resolution, side):
    assert domains("digits", resolution=resolution).side == side
    assert domains("digits", resolution=resolution, scaled_to=resolution).side == resolution


def test_both_domains_keep_some_images_from_training(folders):
    write(folders / "trainA", range(20))
    section = domains(f"folder:{folders}", held_out=2)
    training, held_out = section.split_off(section.load())
    assert [stream.name for stream in (*training, *held_out)] == ["a", "b", "a", "b"]
    for rest, kept, every in zip(training, held_out, (20, 3), strict=True):
        assert len(values(kept)) == 2
        assert len({*values(rest), *values(kept)}) == every


def test_an_epoch_is_one_of_the_longer_domain():
    described = Described(*(Description((18, 18, 3), None, n, "") for n in (1231, 962)))
    assert described.examples == 1231
    assert str(described) == "1,231 and 962 examples of 18×18×3"


def test_sections_of_both_say_where_they_come_from(folders):
    section = domains(f"folder:{folders}", limit=7, channels=1)
    options = {"resolution": 18, "channels": 1, "limit": 7}
    assert section.each() == (
        Data(f"folder:{folders}/trainA", **options), Data(f"folder:{folders}/trainB", **options)
    )  # fmt: skip
    first, _ = domains("tfds:x").each("test", 32)
    assert (first.source, first.split, first.resolution) == ("tfds:x", "testA", 32)


# ---- crops ----

SIDE = 4


def grid(batches, n, height=9, width=7):
    """Images whose pixels say where they are: row, column, and a constant."""
    rows, columns = np.indices((height, width), np.uint8)
    image = np.stack([rows, columns, np.full_like(rows, 200)], axis=-1)
    return jnp.broadcast_to(jnp.asarray(image), (batches, n, *image.shape))


@functools.partial(jax.jit, static_argnames=("crop", "axis_name"))
def cropped(batches, key=KEY, *, crop=SIDE, axis_name=None):
    return prepare(batches, key, crop=crop, axis_name=axis_name)


def corners(images):
    """Where each image was cut out: [batches, n, 2]. Its pixels are those of one square."""
    pixels = np.rint((np.asarray(images) + 1) * 127.5).astype(int)
    found = pixels[:, :, 0, 0, :2]
    rows, columns = np.indices((SIDE, SIDE))
    np.testing.assert_array_equal(pixels[..., 0], found[..., :1, None] + rows)
    np.testing.assert_array_equal(pixels[..., 1], found[..., 1:, None] + columns)
    assert (pixels[..., 2] == 200).all()
    return found


def test_crops_are_squares_anywhere_in_the_image():
    found = corners(cropped({"a": grid(3, 200)})["a"]).reshape(-1, 2)
    counts = np.zeros((9 - SIDE + 1, 7 - SIDE + 1))
    np.add.at(counts, tuple(found.T), 1)  # an index out of range would not be counted
    expected = 600 / counts.size
    assert counts.sum() == 600
    assert abs(counts - expected).max() < 5 * np.sqrt(expected)  # each equally often


def test_crops_differ_by_example_batch_array_and_key():
    both = {"a": grid(3, 50), "b": grid(3, 50)}
    first = {name: corners(x) for name, x in cropped(both).items()}
    other = corners(cropped(both, jax.random.key(1))["a"])
    drawn = [*first["a"], *first["b"], *other]  # 9 batches
    for i, x in enumerate(drawn):
        assert len(np.unique(x, axis=0)) > 10
        for y in drawn[:i]:
            assert (x == y).all(axis=-1).mean() < 0.3  # 1 in 24 by chance
    np.testing.assert_array_equal(first["a"], corners(cropped(both)["a"]))


def test_crops_are_those_of_the_first_examples_of_a_larger_batch():
    small, large = (corners(cropped({"a": grid(2, n)})["a"]) for n in (6, 20))
    np.testing.assert_array_equal(small, large[:, :6])


@pytest.mark.parametrize("transform", [jax.vmap, jax.pmap], ids=["vmap", "pmap"])
def test_crops_depend_on_the_global_index_only(transform):
    if transform is jax.pmap and jax.device_count() < 4:
        pytest.skip("needs 4 devices")
    images = grid(2, 16)
    whole = cropped({"a": images})["a"]
    parts = transform(
        lambda x: prepare({"a": x}, KEY, crop=SIDE, axis_name="i")["a"], axis_name="i"
    )(jnp.stack(jnp.split(images, 4, axis=1)))
    joined = np.concatenate(list(map(corners, parts)), axis=1)
    np.testing.assert_array_equal(joined, corners(whole))


def test_without_a_key_the_middle_is_cut_out():
    found = corners(prepare({"a": grid(2, 3)}, None, crop=SIDE)["a"])
    np.testing.assert_array_equal(found, np.broadcast_to([2, 1], (2, 3, 2)))


@pytest.mark.parametrize("key", [KEY, None])
def test_what_has_the_size_already_is_left_alone_bit_for_bit(key):
    images = jax.random.randint(KEY, (2, 3, SIDE, SIDE, 3), 0, 256).astype(jnp.uint8)
    whole = prepare({"real": images}, key)
    assert np.array_equal(whole["real"], prepare({"real": images}, key, crop=SIDE)["real"])


def test_crops_are_mirrored_like_whole_images():
    """Where an image is cut changes nothing of which are mirrored, nor the other way around."""
    images = grid(2, 40)
    plain = corners(cropped({"a": images})["a"])
    both = np.asarray(prepare({"a": images}, KEY, crop=SIDE, flip=("a",))["a"])
    whole = np.asarray(prepare({"a": images}, KEY, flip=("a",))["a"])
    mirrored = whole[:, :, 0, 0, 1] > whole[:, :, 0, -1, 1]
    assert 20 < mirrored.sum() < 60
    back = np.where(mirrored[..., None, None, None], both[:, :, :, ::-1], both)
    np.testing.assert_array_equal(corners(back), plain)


def test_only_images_are_cut():
    label, points = jnp.arange(3)[None], jnp.zeros((1, 3, 2))
    out = cropped({"a": grid(1, 3), "label": label, "points": points})
    assert out["a"].shape == (1, 3, SIDE, SIDE, 3)
    np.testing.assert_array_equal(out["label"], label)
    assert out["points"].shape == (1, 3, 2)
