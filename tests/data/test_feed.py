"""Feeds: resident or streamed, on one device or several, the same batches in the same order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Data, Examples, Feed, Order, Stream, feed, load, longest, prepare
from gan_jax.data.streams import check_pairs
from gan_jax.errors import InputError

EXAMPLES, BATCH = 21, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images in three classes."""
    path = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(EXAMPLES):
        file = path / "abc"[i % 3] / f"{i:02}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    return path


def open_source(folder, kind):
    budget = {"resident": 2**30, "streamed": 0}[kind]
    data = Data(source=f"folder:{folder}")
    source = load(data, conditional=True, budget_bytes=budget)
    assert isinstance(source, Examples) == (kind == "resident")
    return source


@pytest.fixture(params=["resident", "streamed"])
def source(request, folder):
    return open_source(folder, request.param)


def feed_of(
    source, *, order=None, batches=1, capacity=3, end=100, axis=(0,), members=1, labels=True
):
    return Feed(
        [Stream(source, label="label" if labels else None)],
        [order or Order(4, EXAMPLES, BATCH)],
        batches=batches,
        capacity=capacity,
        iterations=end,
        axis_indices=np.array(axis),
        members=members,
    )


def iterations(feed, start, count):
    """What each device selects in each iteration: leaves [count, devices, batches, share, …]."""
    rows = feed.rows(start, count)
    assert {leaf.shape[1] for leaf in jax.tree.leaves(rows)} == {feed.capacity}
    devices = jax.tree.leaves(rows)[0].shape[0]

    def one(i, device):
        return feed.select(feed.resident, jax.tree.map(lambda x: x[device, i], rows))

    selected = [[one(i, device) for device in range(devices)] for i in range(count)]
    per_iteration = [jax.tree.map(lambda *x: np.stack(x), *parts) for parts in selected]
    return jax.tree.map(lambda *x: np.stack(x), *per_iteration)


def wanted(source, order, numbers):
    """The batches of these numbers, one read at a time: [numbers, batch, …]."""
    read = [[source.read(int(i)) for i in order.batch(n)] for n in numbers]
    return {
        "real": np.array([[x for x, _ in batch] for batch in read]),
        "label": np.array([[y for _, y in batch] for batch in read]),
    }


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("start", [0, 1, 7, 40])
def test_iterations_hold_the_batches_of_the_order(source, start):
    got = iterations(feed_of(source), start, 3)
    assert got["real"].shape == (3, 1, 1, BATCH, 8, 8, 3)
    assert got["real"].dtype == np.uint8
    assert got["label"].dtype == np.int32
    got = {name: x[:, 0, 0] for name, x in got.items()}
    assert_same(got, wanted(source, Order(4, EXAMPLES, BATCH), range(start, start + 3)))


def test_several_batches_an_iteration(source):
    got = iterations(feed_of(source, batches=3, capacity=2), 2, 2)
    assert got["real"].shape == (2, 1, 3, BATCH, 8, 8, 3)
    got = {name: x.reshape(6, *x.shape[3:]) for name, x in got.items()}
    assert_same(got, wanted(source, Order(4, EXAMPLES, BATCH), range(6, 12)))


def test_a_feed_can_go_on_jump_back_and_skip(source):
    one, order = feed_of(source), Order(4, EXAMPLES, BATCH)
    for start, count in [(0, 3), (3, 1), (4, 2), (1, 3), (1, 2), (30, 3), (0, 1), (1, 1)]:
        got = {name: x[:, 0, 0] for name, x in iterations(one, start, count).items()}
        assert_same(got, wanted(source, order, range(start, start + count)))


def test_asking_for_nothing_moves_nothing(source):
    one = feed_of(source)
    rows = one.rows(5, 0)
    assert {leaf.shape[1] for leaf in jax.tree.leaves(rows)} == {one.capacity}
    got = {name: x[:, 0, 0] for name, x in iterations(one, 5, 2).items()}
    assert_same(got, wanted(source, Order(4, EXAMPLES, BATCH), [5, 6]))


def test_the_last_iteration_can_be_had(source):
    got = iterations(feed_of(source, end=6, batches=2), 5, 1)
    got = {name: x[0, 0] for name, x in got.items()}
    assert_same(got, wanted(source, Order(4, EXAMPLES, BATCH), [10, 11]))


@pytest.mark.parametrize("start", [0, 5])
def test_streamed_and_resident_agree(folder, start):
    resident, streamed = (
        iterations(feed_of(open_source(folder, kind), batches=2), start, 3)
        for kind in ("resident", "streamed")
    )
    assert_same(resident, streamed)


@pytest.mark.parametrize("members", [2, 4])
def test_parts_of_the_devices_make_up_the_batch(source, members):
    whole = iterations(feed_of(source), 1, 3)
    parts = iterations(feed_of(source, axis=range(members), members=members), 1, 3)
    assert parts["real"].shape == (3, members, 1, BATCH // members, 8, 8, 3)
    joined = {k: np.concatenate(list(np.moveaxis(x, 1, 0)), axis=2) for k, x in parts.items()}
    assert_same(joined, {k: x[:, 0] for k, x in whole.items()})


def test_a_process_feeds_its_own_devices(source):
    everything = iterations(feed_of(source, axis=range(4), members=4), 0, 2)
    for axis in [(2, 3), (0, 1), (3, 1)]:
        mine = iterations(feed_of(source, axis=axis, members=4), 0, 2)
        assert_same(mine, {name: x[:, list(axis)] for name, x in everything.items()})


def test_labels_travel_only_if_wanted(source):
    got = iterations(feed_of(source, labels=False), 0, 1)
    assert got.keys() == {"real"}


def test_labels_belong_to_their_images(source):
    by_image = dict((x.tobytes(), y) for x, y in (source.read(i) for i in range(EXAMPLES)))
    got = iterations(feed_of(source), 0, 3)
    real, label = got["real"].reshape(-1, 8, 8, 3), got["label"].reshape(-1)
    assert [by_image[x.tobytes()] for x in real] == list(label)
    assert set(label) == {0, 1, 2}


def test_what_streams_in_one_go_is_bounded(folder, monkeypatch):
    source = open_source(folder, "streamed")
    monkeypatch.setattr(feed, "_STREAM_BYTES", 5 * BATCH * 8 * 8 * 3)
    assert feed_of(source, capacity=100).capacity == 5
    assert feed_of(source, capacity=100, batches=2).capacity == 2
    assert feed_of(source, capacity=100, batches=9).capacity == 1
    assert feed_of(source, capacity=4).capacity == 4
    got = iterations(feed_of(source, capacity=100), 0, 5)
    got = {name: x[:, 0, 0] for name, x in got.items()}
    assert_same(got, wanted(source, Order(4, EXAMPLES, BATCH), range(5)))


def test_points(monkeypatch):
    source = load(Data(source="ring"))
    order = Order(0, 100_000, 16)
    got = iterations(feed_of(source, order=order, labels=False), 2, 2)["real"]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[:, 0, 0], wanted(source, order, [2, 3])["real"])


# ---- several streams ----


def array(n, first=0):
    """`n` images of 4×4 pixels that all have a value of their own, from `first` on."""
    values = np.arange(first, first + n, dtype=np.uint8)
    return np.broadcast_to(values[:, None, None], (n, 4, 4))


def stream(path, kind, images, **options):
    """A stream of these images, in memory or read from files."""
    for i, image in enumerate(images):
        file = path / f"{int(images[0, 0, 0])}" / f"{i:03}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(file)
    budget = {"resident": 2**30, "streamed": 0}[kind]
    source = load(Data(source=f"folder:{file.parent}"), budget_bytes=budget)
    assert isinstance(source, Examples) == (kind == "resident")
    return Stream(source, **options)


def feed_of_streams(streams, *, batches=1, capacity=30):
    orders = [one.order(4, BATCH) for one in streams]
    return Feed(
        streams, orders, batches=batches, capacity=capacity, iterations=30,
        axis_indices=np.arange(2), members=2,
    )  # fmt: skip


def values(feed, start, count):
    """The values of all images that are selected, by stream: [count, batches · batch]."""
    got = iterations(feed, start, count)
    joined = {name: np.moveaxis(x[..., 0, 0, 0], 1, 2) for name, x in got.items()}
    return {name: x.reshape(count, -1) for name, x in joined.items()}


KINDS = [(a, b) for a in ("resident", "streamed") for b in ("resident", "streamed")]


def domains(path, kinds):
    """Two domains of different sizes: values 0 to 20, and 100 to 112."""
    return (
        stream(path, kinds[0], array(21), name="a"),
        stream(path, kinds[1], array(13, 100), name="b", number=1),
    )


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_each_stream_has_complete_epochs_of_its_own(tmp_path, kinds):
    got = values(feed_of_streams(domains(tmp_path, kinds)), 0, 21)  # 168 of each
    assert got.keys() == {"a", "b"}
    for epoch in got["a"].reshape(8, 21):
        assert sorted(epoch) == list(range(21))
    for epoch in got["b"].reshape(-1)[: 12 * 13].reshape(12, 13):
        assert sorted(epoch) == list(range(100, 113))


@pytest.mark.parametrize("kinds", KINDS[1:], ids="-".join)
@pytest.mark.parametrize("start", [0, 5])
def test_streams_are_the_same_in_memory_or_read_from_files(tmp_path, kinds, start):
    resident, other = (
        iterations(feed_of_streams(domains(tmp_path, k), batches=3), start, 4)
        for k in (KINDS[0], kinds)
    )
    assert_same(resident, other)


def test_only_what_does_not_fit_travels(tmp_path):
    feed = feed_of_streams(domains(tmp_path, ("streamed", "resident")))
    assert [sorted(part) for part in feed.resident] == [[], ["b"]]
    images, indices = feed.rows(0, 1)
    assert images["a"].shape == (2, 30, 1, 4, 4, 4, 1)
    assert indices.shape == (2, 30, 1, 4)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_streams_go_on_where_they_were(tmp_path, kinds):
    whole = values(feed_of_streams(domains(tmp_path, kinds)), 0, 9)
    resumed = values(feed_of_streams(domains(tmp_path, kinds)), 6, 3)
    assert_same(resumed, {name: x[6:] for name, x in whole.items()})


def test_a_second_stream_changes_nothing_of_the_first(tmp_path):
    two = domains(tmp_path, KINDS[0])
    alone = values(feed_of_streams(two[:1]), 0, 9)
    np.testing.assert_array_equal(values(feed_of_streams(two), 0, 9)["a"], alone["a"])


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_pairs_stay_pairs(tmp_path, kinds):
    pairs = (
        stream(tmp_path, kinds[0], array(21), name="input"),
        stream(tmp_path, kinds[1], array(21, 100), name="target"),
    )
    feed = feed_of_streams(pairs, batches=2)
    assert len(feed.resident) == 1
    got = values(feed, 3, 5)
    np.testing.assert_array_equal(got["target"], got["input"] + 100)
    assert len(np.unique(got["input"])) == 21


def test_streams_of_other_numbers_are_independent(tmp_path):
    streams = [
        stream(tmp_path, "resident", array(21), name=n, number=i) for i, n in enumerate("ab")
    ]
    got = values(feed_of_streams(streams), 0, 21)
    assert (got["a"] == got["b"]).mean() < 0.2  # 1 in 21 by chance


def test_pairs_are_as_many_of_one_as_of_the_other(tmp_path):
    streams = (
        stream(tmp_path, "resident", array(21), name="input"),
        stream(tmp_path, "resident", array(13, 100), name="target"),
    )
    with pytest.raises(InputError, match=r"input and target .* not 21 and 13"):
        check_pairs(streams)
    check_pairs(domains(tmp_path, KINDS[0]))


def test_the_longest_stream_counts_the_epochs(tmp_path):
    orders = [one.order(4, BATCH) for one in domains(tmp_path, KINDS[0])]
    assert longest(orders) == longest(orders[::-1]) == Order(4, 21, BATCH)
    assert longest(orders).epoch(21) == 8
    assert longest(orders).first_batch(8) == 21


def test_streams_travel_within_one_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "_STREAM_BYTES", 6 * BATCH * 4 * 4)
    assert feed_of_streams(domains(tmp_path, ("streamed", "resident"))).capacity == 6
    assert feed_of_streams(domains(tmp_path, ("streamed", "streamed"))).capacity == 3
    assert feed_of_streams(domains(tmp_path, ("resident", "resident"))).capacity == 30


def test_streams_under_pmap(tmp_path):
    feed = feed_of_streams(domains(tmp_path, ("resident", "streamed")))
    select = jax.pmap(feed.select, in_axes=(None, 0), devices=jax.devices()[:2])
    rows = jax.tree.map(lambda x: x[:, 0], feed.rows(5, 1))
    assert_same(select(feed.resident, rows), {k: x[0] for k, x in iterations(feed, 5, 1).items()})


# ---- prepare ----

KEY = jax.random.key(0)


@functools.partial(jax.jit, static_argnames="axis_name")
def flipped(real, key=KEY, axis_name=None):
    return prepare({"real": real}, key, flip=("real",), axis_name=axis_name)["real"]


def ramps(batches, n):
    """uint8 images that are brighter on the right: [batches, n, 4, 4, 1]."""
    ramp = jnp.arange(4, dtype=jnp.uint8) * 60
    return jnp.broadcast_to(ramp[:, None], (batches, n, 4, 4, 1))


def mirrored(real):
    """Which images are brighter on the left; each is either the ramp or its mirror image."""
    ramp = np.arange(4, dtype=np.float32) * 60 / 127.5 - 1
    rows = np.asarray(real)[..., 0]
    plain = np.isclose(rows, ramp, atol=1e-6).all((-1, -2))
    mirror = np.isclose(rows, ramp[::-1], atol=1e-6).all((-1, -2))
    assert (plain ^ mirror).all()
    return mirror


def test_pixels_go_to_minus_one_to_one():
    pixels = jnp.arange(256, dtype=jnp.uint8).reshape(1, 1, 16, 16, 1)
    label = jnp.array([[3]])
    out = prepare({"real": pixels, "label": label}, KEY)
    real = np.asarray(out["real"]).reshape(-1)
    assert real.dtype == np.float32
    assert real[0] == -1
    assert real[255] == 1
    np.testing.assert_allclose(real, np.linspace(-1, 1, 256), atol=1e-6)
    assert out["label"] is label


def test_points_pass():
    points = jnp.linspace(-4, 4, 12).reshape(1, 6, 2)
    for flip in ((), ("real",)):
        out = prepare({"real": points}, KEY, flip=flip)
        assert out["real"] is points


def test_without_flip_nothing_is_mirrored():
    out = prepare({"real": ramps(2, 50)}, KEY)["real"]
    assert mirrored(out).sum() == 0


def test_about_half_are_mirrored():
    heads = mirrored(flipped(ramps(4, 250)))
    assert abs(heads.sum() - 500) < 5 * np.sqrt(250)
    assert len({row.tobytes() for row in heads}) == 4  # each batch anew
    assert not np.array_equal(heads, mirrored(flipped(ramps(4, 250), jax.random.key(1))))
    np.testing.assert_array_equal(heads, mirrored(flipped(ramps(4, 250))))


def test_mirroring_moves_columns_only():
    real = jax.random.randint(KEY, (1, 32, 8, 8, 3), 0, 256).astype(jnp.uint8)
    before = np.asarray(prepare({"real": real}, KEY)["real"])
    after = np.asarray(flipped(real))
    heads = mirrored(flipped(ramps(1, 32)))[..., None, None, None]
    # One of the two was compiled: they may differ in the last place.
    np.testing.assert_allclose(after, np.where(heads, before[..., ::-1, :], before), atol=1e-6)


def test_mirroring_is_that_of_the_first_examples_of_a_larger_batch():
    small, large = mirrored(flipped(ramps(2, 8))), mirrored(flipped(ramps(2, 32)))
    np.testing.assert_array_equal(small, large[:, :8])


@pytest.mark.parametrize("transform", [jax.vmap, jax.pmap], ids=["vmap", "pmap"])
def test_mirroring_depends_on_the_global_index_only(transform):
    whole = mirrored(flipped(ramps(3, 32)))
    on_axis = functools.partial(flipped, axis_name="devices")
    parts = transform(on_axis, axis_name="devices", in_axes=(0, None))(
        jnp.stack(jnp.split(ramps(3, 32), 4, axis=1)), KEY
    )
    np.testing.assert_array_equal(np.concatenate(list(mirrored(parts)), axis=1), whole)


def test_streams_are_mirrored_each_for_itself_and_pairs_together():
    batches = {name: ramps(3, 32) for name in ("a", "b", "input", "target")}

    def heads(*flip):
        out = prepare(batches, KEY, flip=flip)
        return {name: mirrored(x) for name, x in out.items()}

    apart, together = heads("a", "b"), heads("a", ("input", "target"))
    first = mirrored(flipped(ramps(3, 32)))
    np.testing.assert_array_equal(apart["a"], first)
    np.testing.assert_array_equal(together["a"], first)
    assert 0.3 < (apart["b"] == first).mean() < 0.7
    np.testing.assert_array_equal(together["input"], together["target"])
    assert 0.3 < together["input"].mean() < 0.7
    assert apart["input"].sum() == together["b"].sum() == 0


def test_pairs_of_different_sizes_are_mirrored_together():
    small, large = ramps(2, 16), jnp.repeat(jnp.repeat(ramps(2, 16), 2, axis=2), 2, axis=3)
    out = prepare({"input": small, "target": large}, KEY, flip=(("input", "target"),))
    np.testing.assert_array_equal(out["target"][:, :, ::2, ::2], out["input"])
    assert 0 < mirrored(out["input"]).sum() < 32
