"""Numbers beside images, to condition on: where they come from, and what is said of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.config import from_json, to_json
from gan_jax.data import Data, Description, Feed, Stream, load, look, pack
from gan_jax.data.conditions import conditions_of
from gan_jax.data.sources.base import gather, only
from gan_jax.errors import InputError

NAMES = ("a.png", "b.png", "sub/c.png", "d.png")
NUMBERS = {"a.png": (30, 1), "b.png": (31.5, 0), "sub/c.png": (-2, 1), "d.png": (8, 0)}
IN_ORDER = [NUMBERS[name] for name in ("a.png", "b.png", "d.png", "sub/c.png")]


@pytest.fixture(autouse=True)
def images():
    for i, name in enumerate(NAMES):
        path = Path("pics", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (60 * i,) * 3).save(path)


def write(*extra, heads="file,age,smile"):
    rows = [f"{name},{','.join(map(str, numbers))}" for name, numbers in NUMBERS.items()]
    Path("pics/labels.csv").write_text("\n".join([heads, *rows, *extra]))


def read(source="folder:pics", budget_bytes=1e9, **options):
    return load(Data(source=source, **options), conditional=True, budget_bytes=budget_bytes)


@pytest.mark.parametrize("budget_bytes", [0, 1e9])
def test_columns_of_numbers_are_conditions(budget_bytes):
    write()
    source = read(budget_bytes=budget_bytes)
    assert source.description.conditions.names == ("age", "smile")
    assert source.description.num_classes is None
    real, conditions = gather(source, np.arange(4))
    assert conditions.dtype == np.float32
    np.testing.assert_array_equal(conditions, IN_ORDER)
    assert real[:, 0, 0, 0].tolist() == [0, 60, 180, 120]
    np.testing.assert_array_equal(source.read(2)[1], (8, 0))
    assert source.notes == (
        "conditioned on age -2 to 31.5, smile 0 to 1",
        "labels are those of labels.csv",
    )
    assert "conditioned on age, smile" in str(source.description)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(("age",), [(30,), (31.5,), (8,), (-2,)]), (("smile", "age"), [x[::-1] for x in IN_ORDER])],
)
def test_some_of_them_can_be_chosen(wanted, expected):
    write()
    source = read(conditions=wanted)
    assert source.description.conditions.names == wanted
    np.testing.assert_array_equal(source.label, expected)


def test_a_class_goes_before_numbers_unless_these_are_chosen():
    write(heads="file,age,label")
    assert read().description.class_names == ("0", "1")
    assert read(conditions=("age",)).description.conditions.names == ("age",)


def test_one_column_is_a_class_unless_it_is_chosen():
    Path("pics/labels.csv").write_text("file,age\na.png,3\nb.png,4\n")
    assert read().description.class_names == ("3", "4")
    source = read(conditions=("age",))
    np.testing.assert_array_equal(source.label, [[3], [4]])


def test_images_without_a_number_are_left_out():
    Path("pics/labels.csv").write_text("file,x,y\na.png,3,4\nb.png,,4\nd.png,5,6\n")
    assert read().description.examples == 2
    assert "left out where labels are asked for: 2, as pics/b.png, without a label" in read().notes


def test_dataset_json_may_hold_several_numbers():
    labels = [[name, list(numbers)] for name, numbers in NUMBERS.items()]
    Path("pics/dataset.json").write_text(json.dumps({"labels": labels}))
    assert read().description.conditions.names == ("0", "1")
    np.testing.assert_array_equal(read().label, IN_ORDER)
    alone = [[name, [numbers[0]]] for name, numbers in NUMBERS.items()]
    Path("pics/dataset.json").write_text(json.dumps({"labels": alone, "conditions": ["age"]}))
    assert read().description.conditions.names == ("age",)
    for wrong in ({"labels": [["a.png", []]]}, {"labels": alone, "conditions": ["a", "b"]}):
        Path("pics/dataset.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=r"numbers for each image, and \d names"):
            read()


def test_a_column_without_a_name_is_none():
    """As pandas writes the numbers of rows."""
    Path("pics/labels.csv").write_text(",file,age,x\n0,a.png,3,4\n1,b.png,5,6\n")
    assert read().description.conditions.names == ("age", "x")
    Path("pics/labels.csv").write_text(",file,kind\n0,a.png,3\n1,b.png,5\n")
    assert read().description.class_names == ("3", "5")
    Path("pics/labels.csv").write_text("label,name\ncat,a.png\ndog,b.png\n")
    assert read().description.class_names == ("cat", "dog")


def test_a_rare_attribute_varies_from_no_to_yes():
    rare = np.zeros((1000, 1), np.float32)
    rare[3] = 1
    assert conditions_of(("bald",), rare).range_of("bald") == (0, 1)


@pytest.mark.parametrize(
    ("text", "conditions", "match"),
    [
        ("file,age,x\na.png,old,1\n", ("age",), "'old' is no number"),
        ("file,age,x\na.png,nan,1\n", ("age",), "'nan' is no number"),
        ("file,age,x\na.png,1e39,1\n", ("age",), "'1e39' is no number"),
        ("file,t,x\na.png,1700000000,1\nb.png,1700000060,2\n", (), "the numbers t are so large"),
        ("file,age,age\na.png,3,1\n", (), "two of the numbers .* have one name: age, age"),
        ("file,age,x\na.png,3,1\n", ("x", "x"), "two of the numbers .* have one name: x, x"),
        ("file,age,x\na.png,3,1\n", ("size",), "has no numbers size to condition on: age, x"),
        ("file,age,x\na.png,3,1\na.png,4,1\n", (), r"labels a\.png twice"),
        ("file,age,x\na.png,3,b\n", (), "which of age, x is the class.*'b' is none"),
    ],
)
def test_what_is_no_condition_is_refused_by_name(text, conditions, match):
    Path("pics/labels.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        read(conditions=conditions)


def test_without_a_file_there_are_none():
    with pytest.raises(InputError, match=r"data\.conditions are columns of labels\.csv"):
        read(conditions=("age",))
    with pytest.raises(InputError, match="digits gives no numbers to condition on"):
        read("digits", conditions=("age",))
    write()
    with pytest.raises(InputError, match="only conditional models are told them"):
        load(Data(source="folder:pics", conditions=("age",)))
    with pytest.raises(InputError, match="in place of classes"):
        Data(conditions=("age",), classes=("x",)).validate("data")
    with pytest.raises(InputError, match="a classifier needs labels"):
        load(Data(source="folder:pics"), conditional=True, labels_for="a classifier")


def save(path="some.npz", n=4, **arrays):
    rng = np.random.default_rng(0)
    np.savez(path, images=rng.integers(0, 256, (n, 8, 8, 3), np.uint8), **arrays)


def test_arrays_of_conditions():
    save(conditions=np.array(IN_ORDER), condition_names=np.array(["age", "smile"]))
    source = read("npz:some.npz")
    np.testing.assert_array_equal(source.label, IN_ORDER)
    assert source.description.conditions.names == ("age", "smile")
    assert read("npz:some.npz", conditions=("smile",)).label.tolist() == [[1], [0], [0], [1]]
    assert look("npz:some.npz").conditions == ("age", "smile")
    save(conditions=np.arange(4), labels=np.arange(4) % 2)
    assert read("npz:some.npz").description.num_classes == 2
    assert read("npz:some.npz", conditions=("0",)).label.tolist() == [[0], [1], [2], [3]]


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"conditions": np.zeros((3, 2))}, r"float64 of the shape \(3, 2\), and not numbers"),
        ({"conditions": np.array(list("abcd"))}, "not numbers"),
        ({"conditions": np.array([1, 2, np.inf, 3])}, r"not all finite: conditions\[2\]"),
        ({"conditions": np.zeros((4, 2)), "condition_names": np.array(["x"])}, "are 2, and"),
    ],
)
def test_arrays_that_are_no_conditions_are_refused(arrays, match):
    save(**arrays)
    with pytest.raises(InputError, match=match):
        read("npz:some.npz")


def test_sources_of_the_same_numbers_are_mixed():
    write()
    save(conditions=np.array(IN_ORDER), condition_names=np.array(["age", "smile"]))
    for budget_bytes in (0, 1e9):
        source = read("mix:folder:pics,npz:some.npz", budget_bytes)
        np.testing.assert_array_equal(gather(source, np.arange(8))[1], IN_ORDER + IN_ORDER)
    assert look("mix:folder:pics,npz:some.npz").conditions == ("age", "smile")
    swapped = np.array(IN_ORDER)[:, ::-1]
    save(conditions=swapped, condition_names=np.array(["smile", "age"]))
    source = read("mix:folder:pics,npz:some.npz")
    np.testing.assert_array_equal(source.label, IN_ORDER + IN_ORDER)
    assert look("mix:folder:pics,npz:some.npz").conditions == ("age", "smile")
    save(conditions=np.array(IN_ORDER))
    assert look("mix:folder:pics,npz:some.npz").conditions == ()
    with pytest.raises(InputError, match="has no numbers age, smile to condition on: 0, 1"):
        read("mix:folder:pics,npz:some.npz")
    save()
    with pytest.raises(InputError, match=r"array 'conditions', and some\.npz has none"):
        read("mix:folder:pics,npz:some.npz")
    with pytest.raises(InputError, match="folder:pics is conditioned on age, smile, and others"):
        read("mix:digits,folder:pics", resolution=8, channels=3)


def test_what_is_packed_keeps_its_numbers():
    write()
    pack("folder:pics", Path("packed"))
    assert read("records:packed").description == read().description
    save(conditions=np.array(IN_ORDER), condition_names=np.array(["age", "smile"]))
    pack("npz:some.npz", Path("others"))
    source = read("records:others")
    np.testing.assert_array_equal(source.label, IN_ORDER)
    assert source.description.conditions.names == ("age", "smile")
    save(conditions=np.arange(4), condition_names=np.array(["label"]))
    pack("npz:some.npz", Path("alone"))
    assert read("records:alone").description.conditions.names == ("label",)
    pack("mix:folder:pics,records:others", Path("both"))
    np.testing.assert_array_equal(read("records:both").label, IN_ORDER + IN_ORDER)


def test_a_change_of_numbers_changes_the_fingerprint():
    write()
    before = read().description.fingerprint
    Path("pics/labels.csv").write_text(Path("pics/labels.csv").read_text().replace("31.5", "31"))
    assert read().description.fingerprint != before
    assert read(conditions=("smile",)).description.fingerprint != before


def test_a_feed_streams_what_would_live_on_the_device():
    write()
    batches = []
    for budget_bytes in (0, 1e9):
        stream = Stream(read(budget_bytes=budget_bytes), "real", "condition")
        feed = Feed(
            [stream],
            [stream.order(0, 2)],
            batches=1,
            capacity=3,
            iterations=3,
            axis_indices=np.array([0]),
            members=1,
        )
        (rows,), (whole,) = feed.rows(0, 3), feed.resident
        if whole:
            rows = {name: x[rows] for name, x in whole.items()}
        batches.append(rows)
    streamed, resident = batches
    for name in ("real", "condition"):
        np.testing.assert_array_equal(streamed[name], resident[name])
    assert streamed["condition"].shape == (1, 3, 1, 2, 2)


def test_numbers_are_drawn_as_real_examples_have_them():
    values = np.random.default_rng(0).normal(5, 3, (1000, 2)).astype(np.float32)
    told = conditions_of(("x", "y"), values)
    drawn = told.drawn(600, {"y": 7})
    assert {*drawn[:, 0].tolist()} <= {*values[:, 0].tolist()}
    assert (drawn[:, 1] == 7).all()
    np.testing.assert_array_equal(drawn[:256], drawn[256:512])
    low, high = told.range_of("x")
    assert low < 2 < 8 < high
    unit = told.scaling.standardized(values)
    np.testing.assert_allclose((unit.mean(), unit.std()), (0, 1), atol=1e-3)
    with pytest.raises(InputError, match="no condition z: only x, y"):
        told.drawn(3, {"z": 1})
    with pytest.raises(InputError, match="is a number, not nan"):
        told.drawn(3, {"x": float("nan")})


def test_a_description_is_written_and_read_again():
    write()
    description = read().description
    again = from_json(Description, to_json(description))
    assert again == description
    assert again.conditions.seen == description.conditions.seen
    part = only(read(), np.array([1, 2]))
    np.testing.assert_array_equal(part.label, IN_ORDER[1:3])


def test_a_check_shows_their_ranges(gan_jax_command):
    write("gone.png,1,2")
    out, error = gan_jax_command("data", "check", "pics")
    assert error == ""
    assert "  conditions   age -2 to 31.5, smile 0 to 1\n" in out
    assert "labels without an image: gone.png" in out
    assert look("folder:pics").conditions == ("age", "smile")
    assert look("folder:pics").class_sizes == ()
