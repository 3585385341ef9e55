"""`gan-jax evaluate`."""

from pathlib import Path

from gan_jax.cli.running import Checkpoint, RunArgument, iteration_of, open_run
from gan_jax.errors import InputError


def evaluate(
    run: RunArgument,
    metrics: tuple[Metric, ...] = (),
    checkpoint: Checkpoint = "latest",
    n: int = 10_000,
    extractor: ExtractorName | None = None,
    weights: Path | None = None,
    split: str | None = None,
    data_dir: str | None = None,
) -> None:
    """Score samples of a trained run against real examples.

    Every score is printed with its conventions: extractor, split, numbers of real and generated
    examples. Scores compare only where these are the same.

    Args:
        run: Directory of the run.
        metrics: fid, kid, is (Inception score), precision_recall, density_coverage, swd (sliced
            Wasserstein distance), ms_ssim, ppl (perceptual path length), cas (classification
            accuracy score), modes. By default those of the run.
        checkpoint: Its iteration, or latest, or best.
        n: How many samples.
        extractor: What makes features of pictures: pixels (principal components), classifier (a
            small one trained on these data, which need labels) or inception (published weights, 91
            MiB, downloaded on first use). By default that of the run.
        weights: A file of Inception's weights, instead of a download.
        split: Of a TFDS dataset, the split to compare with. By default what the run trained on.
        data_dir: Where TFDS datasets are prepared.
    """
    if n < 2:
        raise InputError(f"--n is at least 2, not {n}")
    from gan_jax.metrics.evaluation import Evaluator, make_extractor

    opened = _open(run)
    config, settings = opened.config, opened.config.evaluation
    _, g = opened.states(_iteration(opened, checkpoint))
    trained_on = _real(opened, None, data_dir)
    evaluator = Evaluator(
        config,
        trained_on if split is None else _real(opened, split, data_dir),
        metrics or settings.metrics,
        extractor=make_extractor(
            extractor or ("inception" if weights else settings.extractor),
            config.data,
            trained_on,
            weights,
        ),
        split=split or config.data.split,
        samples=n,
    )
    for score in evaluator(g):
        print(score)


COMMAND = evaluate
