"""Labels in a file beside the images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Data, load, look, pack
from gan_jax.errors import InputError

NAMES = ("a.png", "sub/b.png", "sub/c.png", "d.png")


@pytest.fixture(autouse=True)
def images():
    for name in NAMES:
        path = Path("pics", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def write(text, name="labels.csv", encoding="utf-8"):
    Path("pics", name).write_text(text, encoding)


def read(source="folder:pics", conditional=True, **options):
    return load(Data(source=source, **options), conditional=conditional, budget_bytes=1e9)


def classes(source="folder:pics", **options):
    """Of each image in the order of its path: a, d, b, c."""
    loaded = read(source, **options)
    return [loaded.description.name_of(label) for label in loaded.label.tolist()]


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.png,cat\nsub/b.png,dog\nsub/c.png,dog\nd.png,owl\n",
        "\ufefffilename;category\r\na.png;cat\r\nsub\\b.png;dog\r\nsub/c.png;dog\r\nd.png;owl\r\n",
        'class\timage\ncat\t"a.png"\ndog\t./sub/b.png\n"dog"\tsub/c.png\n\nowl\td.png',
        "a.png,cat\nsub/b.png,dog\nsub/c.png, dog \nd.png,owl",
        "what,id,Class,Path\nx,1,cat,a.png\ny,2,dog,sub/b.png\nz,3,dog,sub/c.png\n,4,owl,d.png\n",
    ],
)
def test_tables_as_people_have_them(text):
    write(text)
    assert classes() == ["cat", "owl", "dog", "dog"]
    assert read().description.class_names == ("cat", "dog", "owl")
    assert read().notes == ("3 classes: cat 1, dog 2, owl 1", "labels are those of labels.csv")


def test_they_take_precedence_over_folders():
    for name in ("x/1.png", "y/2.png"):
        Path("other", name).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(Path("other", name))
    assert classes("folder:other") == ["x", "y"]
    Path("other/labels.csv").write_text("file,label\nx/1.png,q\ny/2.png,p\n")
    assert classes("folder:other") == ["q", "p"]
    assert look("folder:other").classes_by == "labels.csv"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["10", "9", "100", "9"], ("9", "10", "100")),
        (["0.5", "-1", "0.25", "3"], ("-1", "0.25", "0.5", "3")),
        (["1.0", "2.0", "1", "10.0"], ("1", "2", "10")),
        (["img10", "img9", "x", "x"], ("img9", "img10", "x")),
        (["nan", "1", "nan", "1"], ("1", "nan")),
    ],
)
def test_names_are_in_natural_order_and_numbers_in_theirs(given, names):
    write("\n".join(f"{n},{label}" for n, label in zip(NAMES, given, strict=True)))
    assert read().description.class_names == names


@pytest.mark.parametrize(("numbers", "expected"), [((6, 0, 6, 6), "0606"), ("wxyz", "wzxy")])
def test_dataset_json_is_read(numbers, expected):
    labels = [[name, number] for name, number in zip(NAMES, numbers, strict=True)]
    write(json.dumps({"labels": labels}), "dataset.json")
    by_name = dict(zip(NAMES, map(str, numbers), strict=True))
    assert classes() == [by_name[name] for name in ("a.png", "d.png", "sub/b.png", "sub/c.png")]


def test_dataset_json_may_say_that_there_are_none():
    write('{"labels": null}', "dataset.json")
    assert read(conditional=False).description.num_classes is None
    assert look("folder:pics").class_sizes == ()
    with pytest.raises(InputError, match="needs labels, and folder:pics has none"):
        read()


def test_images_without_a_label_and_labels_without_an_image_are_said():
    write("file,label\nsub/b.png,dog\nd.png,\nsub/c.png,cat\ngone.png,cat\nhere.png,cat\n")
    assert classes() == ["dog", "cat"]
    assert read().notes[1:] == (
        "labels are those of labels.csv",
        "left out where labels are asked for: 2, as pics/a.png, without a label",
        "labels without an image: 2, as gone.png",
    )
    # Nothing asks for labels: they say nothing.
    assert read(conditional=False).description.examples == 4
    assert read(conditional=False).notes == ()
    assert look("folder:pics").class_sizes == (1, 1)


def test_files_of_labels_may_lie_beside_splits_or_in_them():
    for split in ("train", "test"):
        Path("parts", split).mkdir(parents=True)
        for name in "ab":
            Image.new("RGB", (8, 8)).save(f"parts/{split}/{name}.png")
    text = "train/a.png,x\ntrain/b.png,y\ntest/a.png,z\ntest/b.png,x\n"
    Path("parts/labels.csv").write_text(text)
    assert classes("folder:parts", split="test") == ["z", "x"]
    notes = read("folder:parts").notes
    assert not any("without" in note for note in notes)
    Path("parts/test/labels.csv").write_text("a.png,v\nb.png,w\n")
    assert classes("folder:parts", split="test") == ["v", "w"]
    pack("folder:parts", Path("packed"))
    for split, expected in (("train", ["x", "y"]), ("test", ["v", "w"])):
        assert classes("records:packed", split=split) == expected


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "two columns"),
        ("file\na.png\n", "two columns"),
        ("file,label\na.png,cat\nd.png\n", "a line with 'd.png' alone"),
        ("age,file,sex\n1,a.png,m\n", "which of age, sex is the class? Call it label"),
        ("file,label\nx.png,cat\n", r"no label for a\.png, nor any other image, but x\.png, say"),
        ("file,label\na.png,cat\na.png,dog\n", "labels a.png twice: cat and dog"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(text, match):
    write(text)
    with pytest.raises(InputError, match=match.replace("?", r"\?")) as error:
        read()
    assert "pics/labels.csv" in str(error.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"labels": [["a.png"]]}', '{"labels": 3}', "{}"])
def test_a_broken_dataset_json_is_refused_by_name(text):
    write(text, "dataset.json")
    with pytest.raises(InputError, match=r"cannot read the labels in pics/dataset\.json"):
        read()


def test_other_encodings_are_refused_by_name():
    write("file,label\na.png,Käfer\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"cannot read the labels in pics/labels\.csv: .*utf-8"):
        read()


def test_a_change_of_labels_changes_the_fingerprint():
    fingerprints = []
    for last in ("owl", "cat"):
        write(f"a.png,cat\nsub/b.png,owl\nsub/c.png,cat\nd.png,{last}\n")
        fingerprints += [read().description.fingerprint, read(conditional=False).description]
    assert fingerprints[0] != fingerprints[2]
    assert fingerprints[1] == fingerprints[3]


def test_a_check_shows_them(gan_jax_command):
    write("file,label\nsub/b.png,10\nd.png,2\nsub/c.png,10\ngone.png,2\n")
    out, error = gan_jax_command("data", "check", "pics")
    assert error == ""
    start = out.index("  labels ")
    assert out[start:].startswith(
        "  labels       2 1, 10 2\n"
        "  labels are those of labels.csv\n"
        "  left out where labels are asked for: pics/a.png, without a label\n"
        "  labels without an image: gone.png\n"
    )
    assert "left out: 1 .csv" not in out


def test_packed_images_keep_their_labels():
    write("file,label\na.png,cat\nsub/b.png,dog\nsub/c.png,dog\n")
    pack("folder:pics", Path("packed"))
    assert read("records:packed").description == read().description
    assert classes("records:packed") == classes() == ["cat", "dog", "dog"]
