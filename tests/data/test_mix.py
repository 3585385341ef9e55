"""Several sources as one: each has its share, however much it holds."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Data, Feed, Order, Stream, hold_out, load, look, pack
from gan_jax.data.mixture import Mixture
from gan_jax.errors import InputError


def write(name, value, mode="RGB", size=(8, 8)):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).convert(mode).save(name)


@pytest.fixture(autouse=True)
def folders():
    """`a` holds 0 … 11 of cat and dog, `b` 100 … 103 of bird and dog."""
    for i in range(12):
        write(f"a/{('cat', 'dog')[i % 2]}/{i:02}.png", i)
    for i in range(4):
        write(f"b/{('dog', 'bird')[i % 2]}/{i}.png", 100 + i)


def read(source="mix:folder:a=3,folder:b=1", budget_bytes=0, **options):
    conditional = options.pop("conditional", False)
    return load(Data(source=source, **options), conditional=conditional, budget_bytes=budget_bytes)


def drawn(source, epochs, batch_size=4, seed=0):
    """What is read in each epoch: values of images."""
    order = Stream(source).order(seed, batch_size)
    n = source.description.examples
    indices = np.concatenate([order.batch(i) for i in range(epochs * n // batch_size)])
    return [[int(source.read(int(i))[0].max()) for i in e] for e in indices.reshape(epochs, n)]


@pytest.mark.parametrize("budget_bytes", [0, 1e9])
def test_without_weights_it_is_every_example_once(budget_bytes):
    source = read("mix:folder:a,folder:b", budget_bytes)
    for epoch in drawn(source, 3):
        assert sorted(epoch) == [*range(12), *range(100, 104)]


@pytest.mark.parametrize("budget_bytes", [0, 1e9])
@pytest.mark.parametrize(("weights", "of_b"), [((3, 1), 4), ((1, 1), 8), ((0.1, 0.7), 14)])
def test_each_epoch_has_as_much_of_each_as_it_weighs(weights, of_b, budget_bytes):
    source = read("mix:folder:a={},folder:b={}".format(*weights), budget_bytes)
    for epoch in drawn(source, 4):
        assert len(epoch) == 16
        assert sum(value >= 100 for value in epoch) == of_b


def test_none_of_a_source_is_drawn_more_often_than_another():
    counts = Counter(
        value for epoch in drawn(read("mix:folder:a=1,folder:b=1"), 9) for value in epoch
    )
    assert {counts[i] for i in range(12)} == {6}  # 9 epochs, 8 of 12 each time
    assert {counts[i] for i in range(100, 104)} == {18}


def test_shares_are_spread_over_batches_at_random():
    source = read("mix:folder:a=1,folder:b=1")
    batches = np.array(drawn(source, 200)).reshape(-1, 4)
    of_b = np.bincount((batches >= 100).sum(axis=1), minlength=5) / len(batches)
    # Of 16 with 8 of b, 4 at once: hypergeometric.
    np.testing.assert_allclose(of_b, np.array([70, 448, 784, 448, 70]) / 1820, atol=0.05)


def test_the_order_is_a_function_of_seed_and_number_alone():
    order, other = (Stream(read()).order(seed, 3) for seed in (5, 6))
    forwards = [order.batch(i) for i in range(40)]
    for i in np.random.default_rng(0).permutation(40).tolist():
        np.testing.assert_array_equal(order.batch(i), forwards[i])
        np.testing.assert_array_equal(Stream(read()).order(5, 3).batch(i), forwards[i])
    whole = np.concatenate(forwards)
    np.testing.assert_array_equal(
        np.concatenate([Stream(read()).order(5, 8).batch(i) for i in range(15)]), whole
    )
    assert not np.array_equal(np.concatenate([other.batch(i) for i in range(40)]), whole)
    assert order == Stream(read()).order(5, 3)


def test_sources_are_drawn_from_independently():
    order = Order(0, 40, 40, mixture=Mixture((10, 10, 20), (0.125, 0.125, 0.75)))
    epoch = order.batch(0)
    first, second = ({int(i) % 10 for i in epoch if i // 10 == source} for source in (0, 1))
    assert len(first) == len(second) == 5
    assert first != second


def test_a_feed_streams_what_would_live_on_the_device():
    rows = []
    for budget_bytes in (0, 1e9):
        stream = Stream(read(budget_bytes=budget_bytes, conditional=True), label="label")
        feed = Feed(
            [stream],
            [stream.order(2, 4)],
            batches=1,
            capacity=8,
            iterations=8,
            axis_indices=np.array([0]),
            members=1,
        )
        got = feed.rows(0, 8)
        rows.append(
            [feed.select(feed.resident, (got[0][0, i, 0],)) for i in range(8)]
            if budget_bytes
            else [{k: x[0, i, 0] for k, x in got[0].items()} for i in range(8)]
        )
    for streamed, resident in zip(*rows, strict=True):
        for name in ("real", "label"):
            np.testing.assert_array_equal(streamed[name], resident[name])


# Classes.


def test_classes_are_united_by_name():
    for budget_bytes in (0, 1e9):
        source = read(conditional=True, budget_bytes=budget_bytes)
        assert source.description.class_names == ("bird", "cat", "dog")
        got = [source.read(i) for i in range(16)]
        names = {int(x.max()): source.description.name_of(label) for x, label in got}
        assert [names[i] for i in (0, 1, 100, 101)] == ["cat", "dog", "dog", "bird"]
    assert "3 classes: bird 2, cat 6, dog 8" in read(conditional=True).notes
    assert sorted(zip(look("mix:folder:a,folder:b").class_names, (6, 8, 2), strict=True)) == sorted(
        zip(("cat", "dog", "bird"), look("mix:folder:a,folder:b").class_sizes, strict=True)
    )


def test_classes_of_numbers_and_of_folders_are_one():
    np.savez("c.npz", images=np.zeros((2, 8, 8, 3), np.uint8), labels=np.array(["dog", "ant"]))
    source = read("mix:npz:c.npz,folder:a", conditional=True)
    assert source.description.class_names == ("ant", "cat", "dog")
    assert [source.read(i)[1] for i in (0, 1, 2)] == [2, 0, 1]


def test_a_class_can_be_chosen_and_shares_go_to_who_has_it():
    source = read(conditional=True, classes=("cat",))
    assert sorted(drawn(source, 2, batch_size=3)[0]) == [0, 2, 4, 6, 8, 10]
    source = read(conditional=True, classes=("dog",))
    (epoch,) = drawn(source, 1)
    assert sum(value >= 100 for value in epoch) == 2


def test_labels_that_one_has_not_are_missed():
    write("c/x.png", 7)
    assert read("mix:folder:a,folder:c").description.num_classes is None
    np.savez("c.npz", images=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match=r"needs labels, and npz:c\.npz has none"):
        read("mix:folder:a,npz:c.npz", conditional=True)
    assert look("mix:folder:a,folder:c").class_sizes == ()


# What it is made of.


def test_each_gives_its_part_to_what_is_held_out():
    training, held_out = hold_out(read(), 4)
    values = [int(held_out.read(i)[0].max()) for i in range(4)]
    assert sum(value >= 100 for value in values) == 1
    (epoch,) = drawn(training, 1)
    assert sum(value >= 100 for value in epoch) == 3  # a quarter of 12
    assert not {*epoch} & {*values}


def test_the_fingerprint_covers_all_of_it():
    prints = {
        read(source, conditional=conditional).description.fingerprint
        for source in (
            "mix:folder:a=3,folder:b=1",
            "mix:folder:a=6,folder:b=2",
            "mix:folder:a=1,folder:b=1",
            "mix:folder:b=1,folder:a=3",
            "mix:folder:a,folder:b",
            "mix:folder:a",
        )
        for conditional in (False, True)
    }
    assert len(prints) == 2 * 5  # the second is the first
    before = read().description.fingerprint
    write("b/dog/0.png", 9, size=(9, 9))
    assert read(resolution=8).description.fingerprint != before


def test_several_kinds_and_packed_ones_are_mixed():
    pack("folder:b", Path("packed"))
    digits = read("mix:digits=1,records:packed=1", channels=1)
    assert digits.description.examples == 1797 + 4
    assert int(digits.read(1797)[0].max()) == 101
    looks = look("mix:digits,records:packed")
    assert (looks.examples, looks.channels, set(looks.sizes)) == (1801, 3, {(8, 8)})


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("mix:folder:a,folder:g", r"folder:a and folder:g differ, 8×8×3 and 8×8×1: set data\.res"),
        ("mix:folder:a=1,folder:b", r"needs a weight above 0 for each source, as folder:a=1, or"),
        ("mix:folder:a=0,folder:b=1", "needs a weight above 0 for each source"),
        ("mix:folder:a,folder:none", "there is no folder none"),
        ("mix:folder:a=999,folder:b=0.1", "of folder:b nothing is drawn: its weight is too small"),
        ("mix:folder:a,ring", "ring cannot be mixed"),
        ("mix:mix:folder:a", "cannot be mixed"),
        ("mix:", r"unknown data\.source 'mix:': one of"),
        ("mix:nothing", r"unknown data\.source 'nothing': one of"),
    ],
)
def test_what_cannot_be_mixed_is_refused(source, match):
    write("g/x.png", 7, mode="L")
    with pytest.raises(InputError, match=match):
        read(source)
