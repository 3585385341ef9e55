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


def test_of_several_parts_the_mean_counts():
    """Of what is held out, where that is."""
    parts = ("a2b", "b2a")

    def check(a2b, b2a, name="auc_held_out"):
        return {"a2b/auc": 0.5, "b2a/auc": 0.5, f"a2b/{name}": a2b, f"b2a/{name}": b2a}

    assert pace([check(0.99, 0.75)], parts) == Pace(d_every=2, g_every=1)
    assert pace([check(0.99, 0.6)], parts) == Pace(1, 1)
    assert pace([check(0.1, 0.5)], parts) == Pace(d_every=1, g_every=2)
    assert pace([check(0.9, 0.9)] * 2, parts) == Pace(d_every=4, g_every=1)
    assert pace([check(0.95, 0.95, name="auc")], parts) == Pace(d_every=2, g_every=1)
    one_held_out = {"a2b/auc": 0.1, "a2b/auc_held_out": 0.9, "b2a/auc": 0.9}
    assert pace([one_held_out], parts) == Pace(d_every=2, g_every=1)
