"""Precision, recall, density and coverage: by hand, by brute force and by the `prdc` package."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from gan_jax import metrics
from gan_jax.metrics import neighbors

FEW, MANY = 2, 40
every_width = pytest.mark.parametrize("width", [FEW, MANY], ids=["differences", "products"])


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def clouds(width, n=60, m=50):
    """Two that overlap in part, far from the origin."""
    rng = np.random.default_rng(0)
    return [
        (100 + shift + rng.normal(size=(size, width))).astype(np.float32)
        for size, shift in ((n, 0.0), (m, 0.6))
    ]


def brute_force(real, fake, k):
    """From the papers, one comparison at a time, in float64."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)

    def radii(points):
        return [
            sorted(np.linalg.norm(p - q) for j, q in enumerate(points) if j != i)[k - 1]
            for i, p in enumerate(points)
        ]

    real_radii, fake_radii = radii(real), radii(fake)
    distance = [[np.linalg.norm(r - f) for f in fake] for r in real]
    in_real = np.array(
        [[d < radius for d in row] for row, radius in zip(distance, real_radii, strict=True)]
    )
    in_fake = np.array(
        [[d < radius for d, radius in zip(row, fake_radii, strict=True)] for row in distance]
    )
    return {
        "precision": in_real.any(axis=0).mean(),
        "recall": in_fake.any(axis=1).mean(),
        "density": in_real.sum() / (k * len(fake)),
        "coverage": in_real.any(axis=1).mean(),
    }


def ours(real, fake, k):
    return {
        **metrics.precision_recall(real, fake, k=k)._asdict(),
        **metrics.density_coverage(real, fake, k=k)._asdict(),
    }


def test_by_hand():
    # Real 0, 1, 3: nearest others at 1, 1, 2, so balls (−1, 1), (0, 2), (1, 5).
    # Fake ½, 4, 9, 13: nearest others at 3½, 3½, 4, 4, so balls (−3, 4), (½, 7½), (5, 13), (9, 17).
    # Precision: ½ and 4 are in real balls, 9 and 13 are not: 2/4. Recall: 0, 1, 3 all are: 3/3.
    # Density: ½ is in two balls, 4 in one: 3 over 1 · 4. Coverage: all three balls hold one: 3/3.
    real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [4.0], [9.0], [13.0]])
    assert metrics.precision_recall(real, fake, k=1) == (0.5, 1.0)
    assert metrics.density_coverage(real, fake, k=1) == (0.75, 1.0)
    # k = 2, real: radii 3, 2, 3, so (−3, 3), (−1, 3), (0, 6): ½ in three, 4 in one.
    assert metrics.density_coverage(real, fake, k=2) == (4 / (2 * 4), 1.0)


def test_by_hand_with_a_mode_missed():
    # Real 0, 1, 10, 11: all balls of radius 1. Fake ¼, ½: radius ¼, balls (0, ½) and
    # (¼, ¾), without their rims. Both are in the balls of 0 and 1, none is in those of 10, 11.
    # No real point is in a fake ball.
    real, fake = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([[0.25], [0.5]])
    assert metrics.precision_recall(real, fake, k=1) == (1.0, 0.0)
    assert metrics.density_coverage(real, fake, k=1) == (2.0, 0.5)


@every_width
@pytest.mark.parametrize("k", [1, 3, 5])
def test_agrees_with_brute_force(width, k):
    real, fake = clouds(width)
    expected = brute_force(real, fake, k)
    assert 0 < expected["precision"] < 1 or width == MANY
    assert ours(real, fake, k) == pytest.approx(expected, abs=1e-12)
    assert ours(jnp.asarray(real), jnp.asarray(fake), k) == ours(real, fake, k)


@every_width
@pytest.mark.parametrize("k", [1, 5])
def test_agrees_with_prdc(width, k, capsys):
    prdc = pytest.importorskip("prdc")
    real, fake = clouds(width, 300, 200)
    assert ours(real, fake, k) == pytest.approx(prdc.compute_prdc(real, fake, k), abs=1e-12)


@every_width
def test_agrees_with_torch_fidelity(width):
    theirs = pytest.importorskip("torch_fidelity.metric_prc", exc_type=ImportError)
    torch = pytest.importorskip("torch")
    real, fake = clouds(width, 200, 200)
    expected = theirs.prc_features_to_metric(
        torch.tensor(fake).double(), torch.tensor(real).double(), verbose=False
    )
    # It counts the rim as inside; no distances are equal here.
    assert metrics.precision_recall(real, fake) == pytest.approx(
        (expected["precision"], expected["recall"]),
        rel=1e-6,  # means in float32
    )


@every_width
def test_disjoint_and_identical_sets(width):
    real, _ = clouds(width)
    assert metrics.precision_recall(real, real + 1000) == (0, 0)
    assert metrics.density_coverage(real, real + 1000) == (0, 0)
    assert metrics.precision_recall(real, real) == (1, 1)
    assert metrics.density_coverage(real, real).coverage == 1


@every_width
def test_density_of_one_distribution_is_about_one(width, rng):
    real, fake = rng.normal(size=(2, 1000, width))
    # Its expectation is 1, and coverage's 1 − (n − 1)…(n − k)/((2n − 1)…(2n − k)), about 1 − 2⁻⁵ =
    # 0.969 (Naeem et al.). Neighbouring balls go together, so 1,000 of them count as about 200:
    # three standard errors of √(.969 · .031/200) are 0.037.
    density, coverage = metrics.density_coverage(real, fake)
    assert density == pytest.approx(1, abs=0.15)
    assert coverage == pytest.approx(0.969, abs=0.037)


@every_width
def test_blocks_do_not_matter(width, monkeypatch):
    real, fake = clouds(width)
    whole = ours(real, fake, 3), metrics.nearest(fake, real), metrics.nearest(real, real)
    monkeypatch.setattr(neighbors, "_BLOCK", 7 * 60)  # 7 or 8 rows at a time, and a rest
    for function in (
        neighbors._squared_radii,
        neighbors._balls,
        neighbors._covered,
        neighbors._nearest,
    ):
        function.clear_cache()
    parts = ours(real, fake, 3), metrics.nearest(fake, real), metrics.nearest(real, real)
    assert parts[0] == whole[0]
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-5)
    np.testing.assert_array_equal(parts[2][1], np.arange(60))


def test_narrow_modes_are_resolved(rng):
    # Two modes 2 apart and a thousandth wide: ‖a‖² + ‖b‖² − 2a·b in float32 would lose the
    # distances in them, of about 10⁻⁵, with squares of 10⁻¹⁰ beside 1.
    def points():
        centers = np.array([[-1.0, 0.0], [1.0, 0.0]])[rng.integers(0, 2, 400)]
        return centers + 1e-3 * rng.normal(size=(400, 2))

    real, fake = points(), points()
    # Rounding to float32, by 6·10⁻⁸, may move points over a rim.
    expected = brute_force(real[:100], fake[:100], 3)
    assert ours(real[:100], fake[:100], 3) == pytest.approx(expected, abs=0.011)
    assert metrics.precision_recall(real, fake).precision > 0.9


@every_width
@pytest.mark.parametrize("exclude_self", [False, True])
def test_nearest_is_sklearns(width, exclude_self):
    real, fake = clouds(width)
    queries, references = (real, real) if exclude_self else (fake, real)
    expected = pairwise_distances(queries.astype(np.float64), references.astype(np.float64))
    if exclude_self:
        np.fill_diagonal(expected, np.inf)
    distances, indices = metrics.nearest(queries, references, exclude_self=exclude_self)
    np.testing.assert_array_equal(indices, expected.argmin(axis=1))
    np.testing.assert_allclose(distances, expected.min(axis=1), rtol=1e-5)


@every_width
def test_nearest_finds_duplicates_exactly(width):
    points = clouds(width)[0]
    points[17] = points[3]
    points[20] = points[5] + np.float32(1e-3)
    distances, indices = metrics.nearest(points, points, exclude_self=True)
    assert distances[3] == distances[17] == 0
    assert (indices[3], indices[17]) == (17, 3)
    assert distances[20] == pytest.approx(np.linalg.norm(points[20] - points[5]), rel=0.01)
    assert np.sum(distances == 0) == 2


def test_nearest_refuses_what_it_cannot_do():
    points = np.zeros((3, 2))
    with pytest.raises(ValueError, match="one set twice"):
        metrics.nearest(points, points[:2], exclude_self=True)
    with pytest.raises(ValueError, match="too few"):
        metrics.nearest(points[:1], points[:1], exclude_self=True)


@pytest.mark.parametrize("metric", [metrics.precision_recall, metrics.density_coverage])
def test_too_few_neighbours_are_refused(metric, rng):
    points = rng.normal(size=(3, 2))
    metric(points, points, k=2)
    with pytest.raises(ValueError, match="3 examples are too few: this needs 4"):
        metric(points, points, k=3)
    with pytest.raises(ValueError, match="from 1"):
        metric(points, points, k=0)
