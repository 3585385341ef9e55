"""Folders as people have them: what is taken, what is left out, and what is said of it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Data, load, look
from gan_jax.data.scanning import naturally, scan
from gan_jax.errors import InputError

RANDOM = np.random.default_rng(0)


def write(*names, size=(8, 8), channels=3):
    for name in names:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        array = RANDOM.integers(0, 256, (*size, channels), dtype=np.uint8)
        Image.fromarray(array[..., 0] if channels == 1 else array).save(name)


def touch(*names):
    for name in names:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        open(name, "w").close()


def found(path="pics"):
    return [str(file) for file in scan(Path(path)).files]


def folder(path="pics", **options):
    conditional = options.pop("conditional", False)
    skip = options.pop("skip_bad_images", False)
    data = Data(source=f"folder:{path}", **options)
    return load(data, conditional=conditional, skip_bad_images=skip, budget_bytes=1e9)


def classes(path="pics", **options):
    source = folder(path, conditional=True, **options)
    counts = np.bincount(source.label).tolist()
    return dict(zip(source.description.class_names, counts, strict=True))


# Which files.


def test_what_is_hidden_or_a_system_s_is_as_if_it_were_not_there():
    write("pics/a.png", "pics/b/c.jpg")
    touch("pics/.hidden.png", "pics/.trash/x.png", "pics/__MACOSX/b/._c.jpg", "pics/Thumbs.db")
    touch("pics/.ipynb_checkpoints/a.png", "pics/$RECYCLE.BIN/x.png", "pics/b/@eaDir/c.jpg/x.jpg")
    assert found() == ["pics/a.png", "pics/b/c.jpg"]
    assert folder().notes == ()


def test_what_is_left_out_is_said():
    write("pics/a.png", "pics/a.PNG", "pics/b.webp")
    touch("pics/x.heic", "pics/y.HEIC", "pics/notes.txt", "pics/README")
    os.symlink("nowhere.png", "pics/gone.png")
    note = "left out: 2 .heic, 1 .txt, 1 files without a suffix, 1 links that lead nowhere"
    assert folder().notes == (note,)
    assert folder().description.examples == 3


def test_links_are_followed_and_may_lead_back():
    write("elsewhere/x.png", "pics/own/a.png")
    os.symlink("../elsewhere", "pics/linked")
    os.symlink("../elsewhere", "pics/again")
    os.symlink("..", "pics/own/back")
    assert found() == ["pics/again/x.png", "pics/linked/x.png", "pics/own/a.png"]
    assert folder().notes == ("left out: 1 links that lead back",)
    assert classes() == {"again": 1, "linked": 1, "own": 1}


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser reads everything")
def test_folders_that_cannot_be_read_are_said():
    write("pics/a.png", "pics/locked/b.png")
    os.chmod("pics/locked", 0)
    assert folder().notes == ("left out: 1 unreadable folders",)


def test_a_folder_without_images():
    touch("pics/a.heic", "pics/b.heic")
    with pytest.raises(InputError, match=r"no images in pics, only 2 \.heic; names of images end"):
        folder()


def test_home_is_where_it_is(monkeypatch, tmp_path):
    write("pics/a.png", "pics/b.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder("~/pics").description.examples == 2


# Splits.


@pytest.mark.parametrize(
    ("split", "count"), [("train", 3), ("test", 2), ("val", 1), ("Validation", 1)]
)
def test_splits_at_the_top_are_no_classes(split, count):
    write(*(f"pics/train/{c}/{i}.png" for c, i in (("a", 0), ("a", 1), ("b", 2))))
    write("pics/test/a/3.png", "pics/test/b/4.png", "pics/Validation/a/5.png")
    source = folder(split=split)
    assert source.description.examples == count
    assert source.notes[0].startswith("split ")
    assert source.notes[0].endswith(" of test 2, train 3, Validation 1")
    if split == "train":
        assert classes() == {"a": 2, "b": 1}


def test_splits_that_there_are_not():
    write("pics/train/a.png", "pics/test/b.png", "flat/a.png", "flat/test/b.png")
    with pytest.raises(InputError, match=r"holds test 1, train 1: set data\.split to one"):
        folder(split="val")
    with pytest.raises(InputError, match="flat holds no splits"):
        folder("flat", split="test")
    assert folder("flat").description.examples == 2


# Classes.


def test_classes_are_in_natural_order_and_keep_their_names():
    write(*(f"pics/{i}/x.png" for i in range(12)))
    assert list(classes()) == [str(i) for i in range(12)]
    assert sorted(["b10", "B9", "a", "b9x"], key=naturally) == ["a", "B9", "b9x", "b10"]


def test_classes_are_said_with_their_sizes():
    write("pics/cat/0.png", "pics/cat/1.png", "pics/dog/2.png")
    assert folder(conditional=True).notes == ("2 classes: cat 2, dog 1",)
    write(*(f"many/{i:02}/x.png" for i in range(20)))
    assert folder("many", conditional=True).notes[0].endswith("11 1, and 8 more")


def test_a_folder_of_which_nothing_can_be_read_is_no_class():
    write("pics/cat/0.png", "pics/cat/1.png", "pics/dog/2.png", "pics/owl/3.png")
    with open("pics/dog/2.png", "wb") as file:
        file.write(b"junk")
    touch("pics/empty/x.txt")
    assert classes(skip_bad_images=True) == {"cat": 2, "owl": 1}


def test_classes_may_be_chosen_by_name():
    write(*(f"pics/{name}/{i}.png" for name in ("10", "9", "owl") for i in range(2)))
    assert classes() == {"9": 2, "10": 2, "owl": 2}
    assert classes(classes=("owl", 10)) == {"10": 2, "owl": 2}
    assert classes(classes=("0",)) == {"9": 2}  # by its number, where none is called so
    with pytest.raises(InputError, match="classes cat: folder:pics has the classes 9, 10, owl"):
        classes(classes=("cat",))


# Arrays.


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([7, 9, 7], ("7", "9"), [0, 1, 0]),
        ([1000, 20, 20], ("20", "1000"), [1, 0, 0]),
        ([-1, 0, 1], ("-1", "0", "1"), [0, 1, 2]),
        ([2.0, 1.0, 2.0], ("1", "2"), [1, 0, 1]),
        (["owl", "cat", "owl"], ("cat", "owl"), [1, 0, 1]),
        ([b"owl", b"cat", b"owl"], ("cat", "owl"), [1, 0, 1]),
        ([True, False, False], ("False", "True"), [1, 0, 0]),
        ([[0, 1, 0], [1, 0, 0], [0, 1, 0]], ("0", "1"), [1, 0, 1]),
        ([[3], [4], [3]], ("3", "4"), [0, 1, 0]),
    ],
    ids=["gap", "far", "negative", "floats", "words", "bytes", "bools", "one-hot", "column"],
)
def test_labels_of_arrays(labels, names, numbers):
    images = RANDOM.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    np.savez("a.npz", images=images, labels=np.array(labels))
    source = load(Data(source="npz:a.npz"), conditional=True)
    assert source.description.class_names == names
    assert source.label.tolist() == numbers


def test_an_array_alone():
    np.save("images.npy", RANDOM.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8))
    np.save("points.npy", RANDOM.normal(size=(5, 2)))
    assert load(Data(source="npz:images.npy")).description.shape == (8, 8, 3)
    assert load(Data(source="npz:points.npy")).description.shape == (2,)


# What it looks like, before anything is chosen.


def test_looks():
    write("pics/cat/a.png", size=(20, 30))
    write("pics/cat/b.png", size=(40, 10), channels=1)
    write("pics/dog/c.png", size=(50, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (33, 44)).save("pics/dog/d.jpg", exif=exif)
    touch("pics/dog/e.png")
    looks = look("folder:pics")
    assert looks.sizes == ((20, 30), (40, 10), (50, 50), (33, 44))
    assert (looks.examples, looks.channels, looks.size) == (4, 3, (26, 26))
    assert looks.class_sizes == (2, 3)
    write("pics/loose.png")
    assert look("folder:pics").class_sizes == ()
    digits = look("digits")
    assert (digits.sizes, digits.channels, digits.size) == (((8, 8),), 1, (8, 8))
    assert sum(digits.class_sizes) == digits.examples == 1797
    assert look("ring").sizes == ()


def test_looks_tell_icons_from_images_that_only_could_be_transparent():
    def write_icon(name, transparent):
        """So many of its ten columns let the background through."""
        array = np.full((10, 10, 4), 255, np.uint8)
        array[:, :transparent, 3] = 0
        Image.fromarray(array).save(name)

    write("pics/photo.png")
    assert look("folder:pics").cut_out == 0
    for i, transparent in enumerate((0, 1, 5)):
        write_icon(f"pics/{i}.png", transparent)
    assert look("folder:pics").cut_out == 2 / 4
    touch("pics/broken.png")
    assert look("folder:pics").cut_out == 2 / 4
    write("others/photo.png")
    assert look("mix:folder:pics,folder:others").cut_out == 2 / 5


def test_looks_of_a_dataset(tfds_dir):
    looks = look("tfds:cifar10", data_dir=str(tfds_dir))
    assert (looks.examples, looks.size, looks.channels) == (50_000, (32, 32), 3)
    assert looks.class_sizes == (5000,) * 10
