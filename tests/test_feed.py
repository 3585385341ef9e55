"""Feeds: resident or streamed, on one device or several, the same batches in the same order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.config import Data
from gan_jax.data import Examples, Order, feed, load, make_feed
from gan_jax.data.feed import prepare

EXAMPLES, BATCH = 21, 8


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of pictures in three classes."""
    path = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(EXAMPLES):
        file = path / "abc"[i % 3] / f"{i:02}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    return path


def open_source(pictures, kind):
    budget = {"resident": 2**30, "streamed": 0}[kind]
    data = Data(source=f"folder:{pictures}")
    source = load(data, conditional=True, budget_bytes=budget)
    assert isinstance(source, Examples) == (kind == "resident")
    return source


@pytest.fixture(params=["resident", "streamed"])
def source(request, pictures):
    return open_source(pictures, request.param)


def feed_of(source, *, order=None, batches=1, capacity=3, end=100, axis=(0,), members=1, **options):
    return make_feed(
        source,
        order or Order(4, EXAMPLES, BATCH),
        batches=batches,
        capacity=capacity,
        iterations=end,
        axis_indices=np.array(axis),
        members=members,
        labels=options.get("labels", True),
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
def test_streamed_and_resident_agree(pictures, start):
    resident, streamed = (
        iterations(feed_of(open_source(pictures, kind), batches=2), start, 3)
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


def test_labels_belong_to_their_pictures(source):
    by_picture = dict((x.tobytes(), y) for x, y in (source.read(i) for i in range(EXAMPLES)))
    got = iterations(feed_of(source), 0, 3)
    real, label = got["real"].reshape(-1, 8, 8, 3), got["label"].reshape(-1)
    assert [by_picture[x.tobytes()] for x in real] == list(label)
    assert set(label) == {0, 1, 2}


def test_what_streams_in_one_go_is_bounded(pictures, monkeypatch):
    source = open_source(pictures, "streamed")
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


# ---- prepare ----

KEY = jax.random.key(0)


def flipped(real, key=KEY, axis_name=None):
    return prepare({"real": real}, key, flip=True, axis_name=axis_name)["real"]


def ramps(batches, n):
    """uint8 pictures that are brighter on the right: [batches, n, 4, 4, 1]."""
    ramp = jnp.arange(4, dtype=jnp.uint8) * 60
    return jnp.broadcast_to(ramp[:, None], (batches, n, 4, 4, 1))


def mirrored(real):
    """Which pictures are brighter on the left; each is either the ramp or its mirror image."""
    ramp = np.arange(4, dtype=np.float32) * 60 / 127.5 - 1
    rows = np.asarray(real)[..., 0]
    plain = np.isclose(rows, ramp, atol=1e-6).all((-1, -2))
    mirror = np.isclose(rows, ramp[::-1], atol=1e-6).all((-1, -2))
    assert (plain ^ mirror).all()
    return mirror


def test_pixels_go_to_minus_one_to_one():
    pixels = jnp.arange(256, dtype=jnp.uint8).reshape(1, 1, 16, 16, 1)
    label = jnp.array([[3]])
    out = prepare({"real": pixels, "label": label}, KEY, flip=False, axis_name=None)
    real = np.asarray(out["real"]).reshape(-1)
    assert real.dtype == np.float32
    assert real[0] == -1
    assert real[255] == 1
    np.testing.assert_allclose(real, np.linspace(-1, 1, 256), atol=1e-6)
    assert out["label"] is label


def test_points_pass():
    points = jnp.linspace(-4, 4, 12).reshape(1, 6, 2)
    for flip in (False, True):
        out = prepare({"real": points}, KEY, flip=flip, axis_name=None)
        assert out["real"] is points


def test_without_flip_nothing_is_mirrored():
    out = prepare({"real": ramps(2, 50)}, KEY, flip=False, axis_name=None)["real"]
    assert mirrored(out).sum() == 0


def test_about_half_are_mirrored():
    heads = mirrored(flipped(ramps(4, 250)))
    assert abs(heads.sum() - 500) < 5 * np.sqrt(250)
    assert len({row.tobytes() for row in heads}) == 4  # each batch anew
    assert not np.array_equal(heads, mirrored(flipped(ramps(4, 250), jax.random.key(1))))
    np.testing.assert_array_equal(heads, mirrored(flipped(ramps(4, 250))))


def test_mirroring_moves_columns_only():
    real = jax.random.randint(KEY, (1, 32, 8, 8, 3), 0, 256).astype(jnp.uint8)
    before = np.asarray(prepare({"real": real}, KEY, flip=False, axis_name=None)["real"])
    after = np.asarray(flipped(real))
    heads = mirrored(flipped(ramps(1, 32)))[..., None, None, None]
    np.testing.assert_array_equal(after, np.where(heads, before[..., ::-1, :], before))


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
