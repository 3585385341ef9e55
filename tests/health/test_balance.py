"""The pace of the two networks."""

from gan_jax.health.balance import pace
from gan_jax.steps import Pace


def after(*judged, name="auc_held_out"):
    return pace([{"auc": 0.5, name: value} for value in judged])


def test_networks_that_keep_up_are_updated_equally_often():
    assert after() == after(0.5, 0.6, 0.8) == Pace(1, 1)


def test_a_discriminator_that_is_ahead_slows_down():
    assert after(0.9) == Pace(d_every=2, g_every=1)
    assert after(0.9, 0.9) == Pace(d_every=4, g_every=1)
    assert after(*[0.9] * 9) == Pace(d_every=8, g_every=1)


def test_a_generator_that_is_ahead_slows_down():
    assert after(0.1) == Pace(d_every=1, g_every=2)
    assert after(0.9, 0.1, 0.1) == Pace(d_every=1, g_every=2)


def test_in_between_they_return_to_equal_updates():
    assert after(0.9, 0.9, 0.6) == Pace(d_every=2, g_every=1)
    assert after(0.9, 0.9, 0.6, 0.6, 0.6) == Pace(1, 1)
    assert after(0.1, 0.6, 0.6) == Pace(1, 1)


def test_without_held_out_examples_the_others_count():
    assert pace([{"auc": 0.95}]) == Pace(d_every=2, g_every=1)
