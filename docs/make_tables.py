"""Makes the tables of this site from the results that were measured.

    python docs/make_tables.py            writes them into the pages
    python docs/make_tables.py --check    fails if a page is not up to date

A page says where a table belongs by two comments, `<!-- table: NAME -->` and `<!-- end -->`; what
is between them is made here, and all else is written by hand. Only the standard library is needed.
"""

import argparse
import collections
import json
import math
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
EVIDENCE = DOCS.parent / "evidence" / "results"
SPEED = DOCS.parent / "benchmarks" / "results"
PYTHON = "python3.12"
"""The measurements that the pages are about, where there are several."""

TABLES: dict[str, Callable[[], str]] = {}
_PLACE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Declares a function as the one that makes this table."""

    def declare(function: Callable[[], str]) -> Callable[[], str]:
        TABLES[name] = function
        return function

    return declare


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float]) -> str:
    """The mean ± the standard deviation (over N − 1)."""
    mean = statistics.fmean(values)
    return f"{mean:.4g} ± {statistics.stdev(values):.2g}" if len(values) > 1 else f"{mean:.4g}"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def words(state: str) -> str:
    return state.replace("_", " ")


# Evidence.


@table("mixtures")
def mixtures() -> str:
    found = {name: read(EVIDENCE / f"{name}.json")[name] for name in ("ring", "grid")}
    ours = ["`gaussians.py`"]
    for row in found.values():
        quality = spread([100 * share for share in row["high quality"]])
        ours += [f"**{spread(row['modes'])}**", f"{quality} %"]
    published = [
        ["*published (Lin et al., 2018):* GAN", "6.3", "98 %", "17.3", "95 %"],
        ["PacGAN2", "7.9", "96 %", "23.8", "91 %"],
        ["PacGAN4", "7.8", "96 %", "24.8", "94 %"],
    ]
    header = ["", "ring: modes", "high quality", "grid: modes", "high quality"]
    return markdown(header, [ours, *published])


@table("losses")
def losses() -> str:
    found: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    for name, row in read(EVIDENCE / "losses.json").items():
        loss, penalty = name.split(", ")
        found[loss][penalty] = row
    penalties = list(next(iter(found.values())))
    lines = []
    for loss, by_penalty in found.items():
        cells = []
        for penalty in penalties:
            row = by_penalty[penalty]
            modes, quality = (statistics.fmean(row[k]) for k in ("modes", "high quality"))
            counts = collections.Counter(map(words, row["state"])).most_common()
            states = ", ".join(state for state, _ in counts)
            cells.append(f"{modes:.1f} / {100 * quality:.0f} %<br>{states}")
        lines.append([words(loss), *cells])
    return markdown(["", *penalties], lines)


@table("stacked-mnist")
def stacked_mnist() -> str:
    lines = [
        [
            f"{loss}, R1 + R2",
            f"{row['scores']['modes']:.0f}",
            f"{row['scores']['KL(fake‖real)']:.3f}",
            words(row["state"]),
        ]
        for loss, row in read(EVIDENCE / "stacked_mnist.json").items()
    ]
    published = [
        ("DCGAN", "79–99", "3.4–4.5"),
        ("WGAN-GP", "959", "0.72"),
        ("StyleGAN2", "940", "0.42"),
        ("PacGAN2", "1000", "0.06"),
        ("R3GAN", "1000", "0.029"),
        ("non-saturating with R1 + R2", "693", "0.93"),
    ]
    lines += [[f"*published:* {who}", modes, kl, ""] for who, modes, kl in published]
    return markdown(["loss", "modes", "KL", "diagnosis"], lines)


_BY_CLASS = {"BigGAN", "StyleGAN2", "R3GAN"}
_PUBLISHED = {
    "DCGAN": "48", "SNGAN": "9–17", "BigGAN": "4.2", "StyleGAN2": "2.3–2.4", "R3GAN": "1.96"
}  # fmt: skip
_SCORES = ("FID", "KID", "precision", "recall")


def _recipes(dataset: str) -> str:
    lines = []
    for name, row in read(EVIDENCE / f"{dataset}.json").items():
        scores = [f"{row['scores'][score]:.3g}" for score in _SCORES]
        line = [f"{name}, by class" if name in _BY_CLASS else name]
        line += [f"{row['images'] / 1e3:.0f}k", *scores, words(row["state"])]
        lines.append(line + ([_PUBLISHED[name]] if dataset == "cifar10" else []))
    header = ["recipe", "images", *_SCORES, "diagnosis"]
    return markdown(header + ["published"] * (dataset == "cifar10"), lines)


@table("mnist")
def mnist() -> str:
    return _recipes("mnist")


@table("cifar10")
def cifar10() -> str:
    return _recipes("cifar10")


@table("little-data")
def little_data() -> str:
    lines = []
    for name, row in read(EVIDENCE / "little_data.json").items():
        dataset, size, augmentation = name.split()
        scores = [f"{row['scores'][score]:.3g}" for score in _SCORES]
        lines.append([dataset, f"{int(size):,}", augmentation, *scores, words(row["state"])])
    return markdown(["data", "images", "augmentation", *_SCORES, "diagnosis"], lines)


_FAULTS = {
    "blur": "blur, σ in pixels",
    "noise": "noise, σ of 255",
    "JPEG": "JPEG, quality",
    "tiles": "tiles a side, shuffled",
    "classes gone": "classes left out",
}


@table("extractors")
def extractors() -> str:
    rows = list(read(EVIDENCE / "extractors.json").values())
    levels: dict[str, list[str]] = {}
    for what in rows[0]["scores"]:
        fault, _, level = what.rpartition(" ")
        levels.setdefault(fault, []).append(level)
    lines = [
        [
            f"{called}: {', '.join(levels[fault])}",
            *(
                _growth(row["scores"], [f"{fault} {level}" for level in levels[fault]])
                for row in rows
            ),
        ]
        for fault, called in _FAULTS.items()
    ]
    untouched = [f"{row['scores']['nothing']['FID']:.3g}" for row in rows]
    seconds = [f"{row['seconds for 1,000 images']:.2g}" for row in rows]
    lines += [["FID of what was not touched", *untouched], ["seconds for 1,000 images", *seconds]]
    return markdown(["", *(row["extractor"] for row in rows)], lines)


def _growth(scores: dict[str, Any], which: list[str]) -> str:
    """FID at every level over that of what was not touched; bold where each is above the last."""
    ratios = [scores[what]["FID"] / scores["nothing"]["FID"] for what in which]
    text = ", ".join(f"{ratio:.3g}" for ratio in ratios)
    grows = all(a < b for a, b in zip([1.0, *ratios], ratios, strict=False))
    return f"**{text}**" if grows else text


@table("conditions")
def conditions() -> str:
    """How well samples follow the numbers that a generator is told."""
    arms: dict[str, list[Any]] = collections.defaultdict(list)
    for name, row in read(EVIDENCE / "conditions.json").items():
        arms[name.rpartition(", seed")[0]].append(row)
    columns = ("error", "error beside others' numbers", "correlation")
    lines = [
        [number, arm, *(spread([row[column][i] for row in rows]) for column in columns)]
        for arm, rows in arms.items()
        for i, number in enumerate(rows[0]["numbers"])
    ]
    return markdown(["number", "its embedding begins", *columns], lines)


@table("transfer")
def transfer() -> str:
    pairs: dict[str, list[Any]] = collections.defaultdict(list)
    for name, row in read(EVIDENCE / "transfer.json").items():
        smooth = {arm: _means_of_three(list(c.values())) for arm, c in row["curves"].items()}
        pairs[name.rpartition(", seed")[0]].append(smooth)
    lines = []
    for pair, seeds in pairs.items():
        for arm in seeds[0]:
            fractions = [_fraction(curves[arm], curves["from scratch"][-1]) for curves in seeds]
            reached = [f for f in fractions if f is not None]
            fid = spread([curves[arm][-1] for curves in seeds])
            share = spread(reached) if reached else "–"
            lines.append([pair, arm, fid, share, f"{len(reached)} of {len(seeds)}"])
    return markdown(["data", "begins", "FID at the end", "fraction", "reached"], lines)


@table("translation")
def translation() -> str:
    """What a translator scores, each way, beside doing nothing."""
    (row,) = read(SPEED / "translation-h200.json").values()
    found: dict[str, dict[str, float]] = collections.defaultdict(dict)
    for conventions, scores in row["scores"].items():
        found[conventions.rpartition(", ")[2]] |= scores
    return markdown(
        ["", "FID", "of doing nothing", "taken for the target", "of photographs as they are"],
        [
            [
                what,
                f"{made['FID']:,.0f}",
                f"{nothing['FID']:,.0f}",
                f"{made['target']:.0%}",
                f"{nothing['target']:.0%}",
            ]
            for way, what in (("a2b", "summer to winter"), ("b2a", "winter to summer"))
            for made, nothing in [(found[way], found[f"{way} not translated"])]
        ],
    )


@table("seasons")
def seasons() -> str:
    """The same at 64 pixels, on the test splits."""
    (row,) = read(EVIDENCE / "translation_64.json").values()
    lines = []
    for way, what in (("a2b", "summer to winter"), ("b2a", "winter to summer")):
        found = row[way]
        gains = []
        for kid in found["KID"].values():
            change, spread = (value / kid["as they are"][0] for value in kid["change"])
            gains.append(f"{change:+.0%} ± {spread:.0%}")
        shares = [f"{found[key]:.0%}" for key in ("taken", "taken as they are")]
        lines.append([what, *shares, *gains, f"{found['cycle error']:.1f}"])
    header = ["", "taken for the target", "of photographs as they are", "KID, of a classifier"]
    return markdown([*header, "KID, of pixels", "cycle error"], lines)


def _kid(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 20 else f"{value:.2f}"


def _restored(name: str, *measures: str) -> str:
    """What images made of inputs are like, beside the inputs and the true images."""
    lines = []
    for study, row in read(EVIDENCE / f"{name}.json").items():
        alone = row["found"]["pixels alone"]["KID"]
        for arm, found in row["found"].items():
            less = [kid - of_pixels for kid, of_pixels in zip(found["KID"], alone, strict=True)]
            change = f"{_kid(statistics.fmean(less))} ± {_kid(statistics.stdev(less))}"
            values = {
                "L1, of 255": f"{found['L1']:.1f}",
                "PSNR": f"{found['PSNR']:.2f}" if "PSNR" in found else "",
                "SSIM": f"{found['SSIM']:.3f}",
                "perceptual distance": f"{found['perceptual']:.3f}",
                "KID": _kid(statistics.fmean(found["KID"])),
                "less pixels alone": "" if arm == "pixels alone" else change,
                "gradients": f"{found['gradients']['luma']:.0%}",
                "of color": f"{found['gradients']['color']:.0%}",
            }
            lines.append([f"{study}: {arm}", *(values[measure] for measure in measures)])
    return markdown(["", *measures], lines)


@table("pairs")
def pairs() -> str:
    measures = ("L1, of 255", "perceptual distance", "KID", "less pixels alone")
    return _restored("pairs", *measures, "gradients", "of color")


@table("superresolution")
def superresolution() -> str:
    measures = ("PSNR", "SSIM", "perceptual distance", "KID", "less pixels alone", "gradients")
    return _restored("superresolution", *measures)


@table("superresolution_128")
def superresolution_128() -> str:
    return _restored("superresolution_128", "PSNR", "SSIM", "perceptual distance", "gradients")


def _means_of_three(fids: list[float]) -> list[float]:
    """In a row: one evaluation alone is noisy, and the first lucky one would count."""
    return [statistics.fmean(fids[i : i + 3]) for i in range(len(fids) - 2)]


def _fraction(curve: list[float], target: float) -> float | None:
    """Of the evaluations, how many it takes to reach the target."""
    reached = next((i for i, fid in enumerate(curve) if fid <= target), None)
    return None if reached is None else (reached + 3) / (len(curve) + 2)


@table("sweep")
def sweep() -> str:
    (row,) = read(EVIDENCE / "sweep.json").values()
    trials, shown = row["trials"], 5
    lines = []
    for place in [*range(shown), *range(len(trials) - shown, len(trials))]:
        values = [f"{value:.3g}" for value in trials[place]["values"].values()]
        again = row["confirmed"][place : place + 1]
        scores = [spread(trials[place]["scores"]), spread(again[0]) if again else ""]
        lines.append([str(place + 1), *values, *scores])
    names = [name.replace("objective.r1", "r1") for name in trials[0]["values"]]
    return markdown(["place", *names, row["score"], "with other seeds"], lines)


# Diagnosis and balance.


@table("diagnosis")
def diagnosis() -> str:
    verdicts = read(EVIDENCE / "diagnosis" / "verdicts.json")
    data = list(dict.fromkeys(v["data"] for v in verdicts))
    lines = []
    for state in dict.fromkeys(v["state"] for v in verdicts):
        mine = [v for v in verdicts if v["state"] == state]
        seen, unseen = ([v for v in mine if v["unseen"] == u] for u in (False, True))
        parts = {d: [v for v in unseen if v["data"] == d] for d in data}
        wrong = collections.Counter(
            "late" if v["said"] == state else v["said"] for v in unseen if not v["right"]
        )
        lines.append(
            [
                f"`{state}`",
                _share(seen),
                f"**{_share(unseen)}**",
                ", ".join(f"{d} {_share(part)}" for d, part in parts.items() if part),
                ", ".join(f"{n}× {words(said)}" for said, n in wrong.most_common()) or "–",
            ]
        )
    return markdown(["provoked", "chosen on", "unseen runs", "by data", "said instead"], lines)


def _share(verdicts: list[Any]) -> str:
    return f"{sum(v['right'] for v in verdicts) / len(verdicts):.0%} of {len(verdicts)}"


@table("balance")
def balance() -> str:
    runs = read(EVIDENCE / "balance.json")["runs"]
    groups: dict[tuple[str, str], list[Any]] = collections.defaultdict(list)
    for name, run in runs.items():
        case, pace, _ = name.split(" | ")
        case, pace = case.replace("players", "networks"), pace.replace("equal turns", "equal")
        groups[case, pace].append(run)
    lines = []
    for (case, pace), mine in groups.items():
        scores = [
            f"{statistics.fmean(v):.3g} ± {statistics.stdev(v):.2g}"
            for v in ([run[score] for run in mine] for score in ("FID", "coverage", "auc"))
        ]
        d, g = (statistics.fmean(run[f"{p}_updates"] for run in mine) for p in "dg")
        lines.append([case, pace, *scores, f"{d:.0f} : {g:.0f}"])
    header = ["digits, 2,000 iterations", "updates", "FID", "coverage", "AUC", "D : G"]
    return markdown(header, lines)


# Speed. Times of one machine say little: what is shown are ratios.


@table("throughput")
def throughput() -> str:
    lines = []
    names = ("throughput", "throughput-images")
    for f in (f for n in names for f in read(SPEED / f"{n}-cpu-{PYTHON}.json")["workloads"]):
        ours, theirs = f["jax"], f["torch"]
        low, high = min(f["ratio_of_turns"]), max(f["ratio_of_turns"])
        lines.append(
            [
                f["workload"]["name"],
                f"{f['flops'] / 1e9:.3g}",
                f"**{f['ratio']:.2f}** ({low:.2f}–{high:.2f})",
                f"{ours['of_matmul']:.2f} / {theirs['of_matmul']:.2f}",
                f"{ours['of_convolution']:.2f} / {theirs['of_convolution']:.2f}",
                f"{ours['peak_gib']:.1f} / {theirs['peak_gib']:.1f}",
            ]
        )
    header = ["workload", "GFLOP", "speed over PyTorch's"]
    return markdown([*header, "of a matrix product", "of a convolution", "GiB"], lines)


@table("overheads")
def overheads() -> str:
    found = read(SPEED / f"overheads-cpu-{PYTHON}.json")
    health = read(SPEED / f"health-cpu-{PYTHON}.json")["health"]
    return markdown(
        ["what", "reached"],
        [
            ["the loop over its program alone", f"+{found['host']['share_of_host']:.1%}"],
            ["waiting for streamed data, of an iteration", f"{found['stream']['input_wait']:.1%}"],
            [
                "gathering and normalizing resident data, of an iteration",
                f"{found['resident']['share_of_data']:.2%}",
            ],
            ["checks of `digits.py`, of its training", f"{health['share_of_checks']:.1%}"],
            ["evaluations of `digits.py`, of its training", f"{health['share_of_evaluation']:.1%}"],
            [
                "16 seeds of an MLP at once, over one after another",
                f"{found['seeds']['speed_up']:.2f}× as fast",
            ],
            [
                "the second start of `digits.py`, over the first",
                f"{found['start']['second_s'] / found['start']['first_s']:.0%} of the time",
            ],
        ],
    )


_EXPECTED = {
    "batch": "time and memory ∝ batch, above a constant part: parameters, optimizer states",
    "resolution": "time ∝ resolution² · (log₂ resolution − 3); memory ∝ resolution²",
    "width": "time and memory between width and width²",
    "devices": "virtual ones on the same cores: time does not fall, memory per device does",
}


@table("growth")
def growth() -> str:
    found = read(SPEED / f"growth-cpu-{PYTHON}.json")
    lines = []
    for name, expected in _EXPECTED.items():
        series = found[name]
        line = [name, ", ".join(map(str, series["values"]))]
        for kind in ("ms", "mib_per_device"):
            measured, values = series[kind], series["values"]
            slope = math.log(measured[-1] / measured[-2]) / math.log(values[-1] / values[-2])
            relative = ", ".join(f"{value / measured[0]:.3g}" for value in measured)
            line += [relative, f"{slope:.2f}"]
        lines.append([*line, expected])
    header = ["", "values", "time", "slope", "memory per device", "slope", "expected"]
    return markdown(header, lines)


@table("records")
def records() -> str:
    """What was packed over the folder, in images per second."""
    found = read(SPEED / "records-cpu-python3.11.json")["rates"]
    rows = []
    for what, rates in found.items():
        pairs = zip(rates["records"], rates["folder"], strict=True)
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        middle = f"{statistics.median(ratios):.2g}"
        rows.append([what, f"{middle} ({ratios[0]:.2g}–{ratios[-1]:.2g})"])
    return markdown(["", "records over folder"], rows)


@table("options")
def options() -> str:
    """What XLA's default options cost, by Python and jax."""
    files = [read(SPEED / f"options-cpu-python3.{minor}.json") for minor in (12, 11)]
    lines = [
        [name]
        + [
            f"{found['ratio']:.2f} ({min(turns):.2f}–{max(turns):.2f})"
            for found in (file["workloads"][name] for file in files)
            for turns in [found["ratio_of_turns"]]
        ]
        for name in files[0]["workloads"]
    ]
    header = ["workload", *(f"jax {file['environment']['jax']}" for file in files)]
    return markdown(header, lines)


def _accelerator() -> dict[str, Any]:
    return read(SPEED / "accelerator-h200.json")["parts"]


@table("accelerator")
def accelerator() -> str:
    """What the five workloads reach on one GPU, those that were not cut off."""
    rows = []
    for name, part in _accelerator().items():
        kind, _, rest = name.partition("/")
        if kind == "throughput" and "jax" in part:
            workload, dtype = rest.split("/")
            ours, theirs = part["jax"], part["torch"]
            rows.append(
                [
                    workload,
                    "TF32" if dtype == "float32" else dtype,
                    f"{ours['images_per_s']:,.0f}",
                    f"**{theirs['ms'] / ours['ms']:.1f}**",
                    f"{ours['of_matmul']:.3f} / {theirs['of_matmul']:.3f}",
                ]
            )
    header = ["workload", "in", "images/s", "speed over PyTorch's (eager)", "of a matrix product"]
    return markdown(header, rows)


@table("accelerator-program")
def accelerator_program() -> str:
    """What calls cost there, and whether runs repeat themselves."""
    parts = _accelerator()
    calls, same = parts["dispatch/dcgan32"], parts["determinism/dcgan32"]
    resumed = parts["resume/deterministic"]["equal"], parts["resume/kept"]["equal"]
    tests = parts["tests"]
    yes = {True: "yes", False: "no"}
    return markdown(
        ["what", "found"],
        [
            [
                "`dcgan32`, an iteration in a call of one over one in a call of 64",
                f"{calls['of_1']['ms'] / calls['of_64']['ms']:.1f}",
            ],
            ["two processes agree bit for bit, as it is", yes[same["plain_equal"]]],
            ["with `--xla_gpu_deterministic_ops=true`", yes[same["deterministic_equal"]]],
            ["what that flag costs", f"{same['cost']:+.1%}"],
            ["a resumed run of `digits.py` equals a whole one, bit for bit", yes[all(resumed)]],
            [
                "tests of steps, layers and transforms",
                f"{tests['passed']} passed, {tests['failed']} failed, {tests['skipped']} skipped",
            ],
        ],
    )


@table("accelerator-flags")
def accelerator_flags() -> str:
    """What XLA's options change on a GPU, over none of them."""
    found = {name: _accelerator()[f"flags/{name}"] for name in ("dcgan32", "r3gan16")}
    rows = []
    for flag in ("no_triton", "autotune1", "no_graphs", "graphs_while"):
        row = [f"`{found['dcgan32'][flag]['flags'].partition('=')[0]}`{_FLAGS[flag]}"]
        for of in found.values():
            if flag in of:
                time = of["plain"]["loop"]["ms"] / of[flag]["loop"]["ms"]
                row += [f"{time:.2f}", f"{of['plain']['compile_s'] / of[flag]['compile_s']:.2f}"]
            else:
                row += ["—", "—"]
        rows.append(row)
    header = ["option", "`dcgan32`, speed", "compiling", "`r3gan16`, speed", "compiling"]
    return markdown(header, rows)


_FLAGS = {
    "no_triton": " off: products by cuBLAS",
    "autotune1": " 1: less checking",
    "no_graphs": " empty: no CUDA graphs",
    "graphs_while": " with loops and conditions",
}


@table("accelerator-presets")
def accelerator_presets() -> str:
    """How long published presets would take there."""
    rows = []
    for name, part in _accelerator().items():
        kind, _, preset = name.partition("/")
        for dtype, label in (("float32", "TF32"), ("bfloat16", "bfloat16")):
            if kind == "presets" and dtype in part:
                found = part[dtype]
                minutes = 60 * found["hours"]
                rows.append([preset, label, f"{found['images_per_s']:,.0f}", f"{minutes:.0f} min"])
    return markdown(["preset", "in", "images/s", "all of its images"], rows)


def made(text: str) -> str:
    """A page with its tables as they are made now.

    Raises:
        KeyError: there is no table of a name that it asks for.
    """
    return _PLACE.sub(lambda m: f"{m[1]}\n{TABLES[m[2]]()}\n\n{m[3]}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a page was to be checked and is not up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it would")
    check, stale = parser.parse_args(arguments).check, 0
    for page in sorted(DOCS.rglob("*.md")):
        before = page.read_text()
        after = made(before)
        if before == after:
            continue
        if check:
            stale = 1
            print(f"{page.relative_to(DOCS)} is not up to date: python docs/make_tables.py")
        else:
            page.write_text(after)
    return stale


if __name__ == "__main__":
    sys.exit(main())
