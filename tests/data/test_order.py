"""The order of the data: a pure function of (seed, batch number)."""

import numpy as np
import pytest

from gan_jax.data import Order

SIZES = [(12, 4), (10, 4), (7, 3), (5, 5), (5, 8), (3, 7), (1, 1), (1, 4)]  # examples, batch


def stream(order, count):
    """The first `count` examples, batch after batch."""
    batches = -(-count // order.batch_size)
    return np.concatenate([order.batch(i) for i in range(batches)])[:count]


@pytest.mark.parametrize(("examples", "batch_size"), SIZES)
def test_each_epoch_visits_every_example_once(examples, batch_size):
    epochs = stream(Order(0, examples, batch_size), 6 * examples).reshape(6, examples)
    for epoch in epochs:
        assert sorted(epoch) == list(range(examples))


@pytest.mark.parametrize(("examples", "batch_size"), SIZES)
def test_batches_are_full_and_indices(examples, batch_size):
    order = Order(1, examples, batch_size)
    for i in range(9):
        batch = order.batch(i)
        assert batch.shape == (batch_size,)
        assert batch.dtype == np.int32


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 13])
def test_the_stream_is_the_same_in_batches_of_any_size(batch_size):
    # So what does not fill a batch is carried into the next epoch, in place.
    whole = stream(Order(3, 10, 10), 60)
    np.testing.assert_array_equal(stream(Order(3, 10, batch_size), 60), whole)


def test_a_batch_takes_its_rest_from_the_next_epoch():
    order = Order(0, 10, 4)
    first, second = np.split(stream(Order(0, 10, 10), 20), 2)
    np.testing.assert_array_equal(order.batch(2), [*first[8:], *second[:2]])


def test_batches_do_not_depend_on_what_was_asked_before():
    order, wanted = Order(5, 11, 4), range(40)
    forwards = [order.batch(i) for i in wanted]
    for i in np.random.default_rng(0).permutation(40).tolist():
        np.testing.assert_array_equal(order.batch(i), forwards[i])
        np.testing.assert_array_equal(Order(5, 11, 4).batch(i), forwards[i])


def test_changing_a_batch_changes_no_other():
    order = Order(0, 8, 4)
    before = order.batch(0).copy()
    order.batch(0)[:] = -1
    np.testing.assert_array_equal(order.batch(0), before)


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {
        tuple(epoch)
        for seed in range(5)
        for epoch in stream(Order(seed, 20, 20), 100).reshape(5, -1)
    }
    assert len(orders) == 25
    assert tuple(range(20)) not in orders


def test_every_place_is_taken_by_every_example():
    # A biased shuffle would show: each of 6 examples is expected 100 times in each of 6 places.
    epochs = stream(Order(0, 6, 6), 3600).reshape(600, 6)
    counts = np.stack([(epochs == i).sum(axis=0) for i in range(6)])
    assert abs(counts - 100).max() < 45  # five standard deviations


def test_the_first_stream_is_drawn_from_the_seed_and_the_epoch_alone():
    # Runs that were begun before there were several streams go on with the same batches.
    drawn = np.concatenate([np.random.default_rng([7, e]).permutation(10) for e in range(3)])
    np.testing.assert_array_equal(stream(Order(7, 10, 4), 30), drawn)
    np.testing.assert_array_equal(stream(Order(7, 10, 4, stream=0), 30), drawn)


def test_streams_have_orders_of_their_own():
    orders = {
        tuple(epoch)
        for number in range(5)
        for epoch in stream(Order(0, 20, 20, stream=number), 100).reshape(5, -1)
    }
    assert len(orders) == 25
    np.testing.assert_array_equal(
        stream(Order(0, 20, 3, stream=4), 60), stream(Order(0, 20, 7, stream=4), 60)
    )


def test_equal_orders_are_one():
    assert Order(1, 10, 4, stream=2) == Order(1, 10, 4, stream=2)
    assert len({Order(1, 10, 4), Order(1, 10, 4, stream=0), Order(1, 10, 4, stream=1)}) == 2


@pytest.mark.parametrize(("examples", "batch_size"), SIZES)
def test_epoch_is_that_of_the_first_example(examples, batch_size):
    order = Order(0, examples, batch_size)
    epochs = np.repeat(np.arange(100 * batch_size), examples)
    assert [order.epoch(i) for i in range(100)] == list(epochs[: 100 * batch_size : batch_size])


@pytest.mark.parametrize(("examples", "batch_size"), SIZES)
def test_first_batch_is_the_first_that_begins_in_the_epoch(examples, batch_size):
    order = Order(0, examples, batch_size)
    for epoch in range(8):
        first = next(i for i in range(1000) if order.epoch(i) >= epoch)
        assert order.first_batch(epoch) == first
