"""Images packed into records: the same ones, in the same order, as where they were taken from."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Data, Feed, Order, Stream, load, look, pack, records
from gan_jax.errors import InputError

RANDOM = np.random.default_rng(0)


def write(name, size=(12, 10), mode="RGB", **options):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 256, (*size, 4), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(name, **options)


def write_16_bits(name):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 65536, (12, 10), dtype=np.uint16)).save(name)


def read(source, budget_bytes=0, **options):
    conditional = options.pop("conditional", False)
    return load(Data(source=source, **options), conditional=conditional, budget_bytes=budget_bytes)


def same(one, other):
    assert one.description == other.description
    assert one.description.class_names == other.description.class_names
    for i in range(one.description.examples):
        image, label = one.read(i)
        also, its = other.read(i)
        np.testing.assert_array_equal(image, also)
        assert label == its


def turned(name):
    exif = Image.Exif()
    exif[0x0112] = 6
    write(name, exif=exif)


@pytest.fixture
def folder():
    write("pics/10/a.png", mode="RGBA")
    write("pics/10/b.jpg")
    write("pics/2/a.webp")
    write("pics/2/b.gif", mode="P")
    write("pics/2/c.tif", size=(20, 30))
    turned("pics/2/d.jpg")
    return "pics"


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": 8},
        {"resolution": 8, "fit": "pad", "background": "red"},
        {"resolution": 16, "channels": 1, "conditional": True},
        {"resolution": 8, "conditional": True, "classes": ("10",)},
        {"resolution": 8, "limit": 3},
    ],
)
def test_packed_images_are_those_of_the_folder_bit_for_bit(folder, options):
    pack(f"folder:{folder}", Path("packed"))
    same(read("records:packed", **options), read(f"folder:{folder}", **options))


def test_images_of_16_bits_are_kept(folder):
    write_16_bits("deep/a.png")
    write_16_bits("deep/b.tif")
    pack("folder:deep", Path("packed"))
    same(read("records:packed", resolution=8), read("folder:deep", resolution=8))


def test_files_are_kept_byte_for_byte(folder):
    pack(f"folder:{folder}", Path("packed"))
    packed = records.read(Path("packed"))
    image = packed.images()
    assert packed.names == ("10/a.png", "10/b.jpg", "2/a.webp", "2/b.gif", "2/c.tif", "2/d.jpg")
    for i, name in enumerate(packed.names):
        assert image(i) == Path(folder, name).read_bytes()


def test_looks_are_those_of_the_folder(folder):
    pack(f"folder:{folder}", Path("packed"))
    assert look("records:packed") == look(f"folder:{folder}")
    assert look("records:packed").class_sizes == (2, 4)


def test_there_are_several_files_if_there_is_much(folder, monkeypatch):
    largest = max(p.stat().st_size for p in Path(folder).rglob("*.*"))
    monkeypatch.setattr(records, "SHARD_BYTES", largest)
    packed = pack(f"folder:{folder}", Path("packed"))
    assert len(packed.shards) > 2
    assert sum(shard.images for shard in packed.shards) == 6
    options = {"resolution": 8, "conditional": True}
    same(read("records:packed", **options), read(f"folder:{folder}", **options))


def test_splits_stay_splits(folder):
    for name in ("train/a/1.png", "train/b/2.png", "test/b/3.png"):
        write(f"splits/{name}")
    pack("folder:splits", Path("packed"))
    for split in ("train", "test"):
        options = {"split": split, "resolution": 8, "conditional": True}
        same(read("records:packed", **options), read("folder:splits", **options))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_other_sources_are_packed_without_a_loss(channels):
    labels = np.array(["cat/lynx", "10", "2", "cat/lynx"])
    images = RANDOM.integers(0, 256, (4, 8, 8, channels), dtype=np.uint8)
    np.savez("a.npz", images=images, labels=labels)
    pack("npz:a.npz", Path("packed"))
    for options in ({}, {"resolution": 16, "channels": 3}):
        packed, other = (
            read(name, budget_bytes=1e9, conditional=True, **options)
            for name in ("records:packed", "npz:a.npz")
        )
        np.testing.assert_array_equal(packed.real, other.real)
        np.testing.assert_array_equal(packed.label, other.label)
        assert packed.description.class_names == ("2", "10", "cat/lynx")
    np.testing.assert_array_equal(read("records:packed", budget_bytes=1e9).real, images)


def test_points_are_not_packed():
    np.savez("a.npz", points=np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"npz:a\.npz has examples of 2: only images can be pack"):
        pack("npz:a.npz", Path("packed"))
    assert os.listdir() == ["a.npz"]


# What cannot be read.


def test_bad_images_are_refused_or_left_out_and_counted(folder):
    Path(folder, "2/broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot read the image pics/2/broken\.png"):
        pack(f"folder:{folder}", Path("packed"))
    assert os.listdir() == [folder]
    packed = pack(f"folder:{folder}", Path("packed"), skip_bad_images=True)
    assert (len(packed.names), packed.left_out) == (6, 1)
    assert "left out: 1 unreadable" in read("records:packed", resolution=8).notes


def test_nothing_is_packed_over(folder):
    pack(f"folder:{folder}", Path("packed"))
    with pytest.raises(InputError, match="packed is not empty"):
        pack(f"folder:{folder}", Path("packed"))
    Path("empty").mkdir()
    assert len(pack(f"folder:{folder}", Path("empty")).names) == 6


def test_what_is_not_whole_is_refused(folder):
    pack(f"folder:{folder}", Path("packed"))
    with pytest.raises(InputError, match=r"pics is not packed, .* no index\.json in it"):
        read(f"records:{folder}")
    shard, index = Path("packed/images-00000.array_record"), Path("packed/index.json")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"images-00000\.array_record is missing, or not whole"):
        read("records:packed")
    shard.write_bytes(whole)
    later = json.loads(index.read_text()) | {"version": records.VERSION + 1}
    index.write_text(json.dumps(later))
    with pytest.raises(InputError, match="packed by a later version of gan-jax"):
        read("records:packed")


def test_damage_is_said_by_the_name_of_the_image(folder):
    pack(f"folder:{folder}", Path("packed"))
    shard = Path("packed/images-00000.array_record")
    content = bytearray(shard.read_bytes())
    at = content.index(Path(folder, "2/c.tif").read_bytes()[:400]) + 200
    content[at] ^= 255
    shard.write_bytes(content)
    packed = read("records:packed", resolution=8)
    packed.read(0)
    with pytest.raises(InputError, match=r"cannot read the image packed/2/c\.tif"):
        packed.read(4)


# How they stream.


def test_any_number_of_threads_may_read(folder):
    pack(f"folder:{folder}", Path("packed"))
    source = read("records:packed", resolution=8)
    alone = [source.read(i)[0] for i in range(6)]
    with ThreadPoolExecutor(8) as pool:
        for i, image in enumerate(pool.map(lambda i: source.read(i % 6)[0], range(300))):
            np.testing.assert_array_equal(image, alone[i % 6])


def test_a_feed_gives_the_same_batches_as_of_the_folder(folder):
    pack(f"folder:{folder}", Path("packed"))
    fed = []
    for name in (f"folder:{folder}", "records:packed"):
        source = read(name, resolution=8, conditional=True)
        feed = Feed(
            [Stream(source, label="label")],
            [Order(3, 6, 4)],
            batches=1,
            capacity=4,
            iterations=4,
            axis_indices=np.array([0]),
            members=1,
        )
        (rows,) = feed.rows(0, 4)
        fed.append(rows)
    for name in ("real", "label"):
        np.testing.assert_array_equal(fed[0][name], fed[1][name])
