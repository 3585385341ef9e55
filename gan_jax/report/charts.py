"""Line charts as inline SVG: one small axes each. Titles and legends are left to the page, whose
text stays legible however small the drawing gets."""

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from gan_jax.report.history import Curve
from gan_jax.report.states import Span

WIDTH, HEIGHT = 480, 250  # units of the drawing; text is 14 of them high
MOST_POINTS = 1000

# Okabe and Ito's, which color-blind readers can tell apart, without the ones too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#8A4F7D", "#000000", "#56B4E9", "#E69F00")
DASHES = ("", "6 3", "2 2")


@dataclass(frozen=True)
class Line:
    """One curve and how it is drawn."""

    label: str
    curve: Curve
    color: str
    dashes: str = ""
    """As SVG has them: lengths on and off; solid if empty."""
    low: Float[np.ndarray, " n"] | None = None
    high: Float[np.ndarray, " n"] | None = None
    """A band around the curve, if there is one."""
    best: int | None = None
    """Index of a point to mark."""

    @property
    def note(self) -> str:
        """What the drawing cannot show."""
        bad = int((~np.isfinite(self.curve.y)).sum())
        return f"not finite at {bad} of {len(self.curve.y)}" if bad else ""


@dataclass(frozen=True)
class Chart:
    """A chart, with the words that the page puts around it."""

    title: str
    lines: Sequence[Line]
    about: str = ""
    """What it shows."""
    normal: str = ""
    """Which way is better, and what a healthy run looks like."""
    log: bool = False
    limits: tuple[float, float] | None = None
    """Of the values shown; by default what the curves need."""
    level: float | None = None
    """A value to compare with, drawn across."""
    spans: Sequence[Span] = ()
    marks: Sequence[int] = field(default=())
    """Iterations to mark by a dashed vertical line."""
    end: int = 0
    """The last iteration on the axis, so that charts side by side agree."""

    @property
    def beyond(self) -> int:
        """How many values lie too far out to be shown."""
        low, high = _window(self)
        return sum(int(((line.curve.y < low) | (line.curve.y > high)).sum()) for line in self.lines)

    @property
    def svg(self) -> str:
        """The drawing, as an `<svg>` element for HTML that grows and shrinks with the page."""
        return _draw(self)


def thin(curve: Curve, most: int = MOST_POINTS) -> np.ndarray:
    """Which points of a curve to draw, at most `most`: lowest and highest of each stretch, so that
    no spike is lost. Of a stretch where nothing is finite, the first."""
    n = len(curve.x)
    if n <= most:
        return np.arange(n)
    kept = []
    for stretch in np.array_split(np.arange(n), most // 2):
        y = curve.y[stretch]
        if np.isfinite(y).any():
            kept += sorted({stretch[np.nanargmin(y)], stretch[np.nanargmax(y)]})
        else:
            kept.append(stretch[0])
    return np.array(kept)


def _draw(chart: Chart) -> str:
    # Text stays text; `$` in a label is no mathematics; ids differ from chart to chart.
    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": f"{chart.title}{[line.label for line in chart.lines]}",
        "text.parse_math": False,
        "font.size": 14,
        "axes.facecolor": "none",  # the page's
        "axes.linewidth": 0.8,
        "axes.edgecolor": "#888888",
        "xtick.color": "#444444",
        "ytick.color": "#444444",
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(
            figsize=(WIDTH / 72, HEIGHT / 72), facecolor="none"
        )  # a point is a unit of the drawing
        # The same margins everywhere, so that iterations are at the same place in every chart.
        axes = figure.add_axes((0.135, 0.13, 0.825, 0.79))
        _scale(axes, chart)
        for span in chart.spans:
            if span.state.shaded:
                axes.axvspan(span.start, span.end, color=span.state.color, alpha=0.3, linewidth=0)
        if chart.level is not None:
            axes.axhline(chart.level, color="#555555", linewidth=1, dashes=(5, 3))
        for mark in chart.marks:
            axes.axvline(mark, color="#000000", linewidth=1, dashes=(2, 2))
        for line in chart.lines:
            _add(axes, line)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    # What comes first is about a file of its own: metadata, and a style for all that there is.
    _, _, body = buffer.getvalue().partition("</defs>")
    body = re.sub(
        r'<g id="[^"]*">', "<g>", body
    )  # the same in every chart, and nothing refers to it
    title = html.escape(chart.title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{body}'


def _add(axes, line: Line) -> None:
    kept = thin(line.curve)
    x, y = line.curve.x[kept], line.curve.y[kept]
    style = {"color": line.color, "linewidth": 1.8}
    if line.dashes:
        style["dashes"] = [float(length) / 1.8 for length in line.dashes.split()]
    if len(x) <= 20:
        style |= {"marker": "o", "markersize": 4}
    axes.plot(x, y, **style)
    if line.low is not None and line.high is not None:
        low, high = line.low[kept], line.high[kept]
        axes.fill_between(x, low, high, color=line.color, alpha=0.2, linewidth=0)
    if line.best is not None:
        point = line.curve.x[line.best], line.curve.y[line.best]
        axes.plot(
            *point, marker="*", markersize=15, color=line.color, markeredgecolor="white", zorder=3
        )


def _scale(axes, chart: Chart) -> None:
    low, high = _window(chart)
    if _is_logarithmic(chart):
        axes.set_yscale("log")
        decades = np.log10(high / low)
        subs = (1,) if decades > 3 else (1, 2, 5)
        axes.yaxis.set_major_locator(
            MaxNLocator(5) if decades < 1 else LogLocator(subs=subs, numticks=6)
        )
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-3, 5))
    axes.set_ylim(low, high)
    axes.set_xlim(0, 1.03 * max(chart.end, 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _thousands(value: float, _: int) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e4 else f"{value:,.0f}"


def _values(chart: Chart) -> Float[np.ndarray, " n"]:
    every = [y for line in chart.lines for y in (line.curve.y, line.low, line.high)]
    values = np.concatenate([y for y in every if y is not None])
    return values[np.isfinite(values)]


def _is_logarithmic(chart: Chart) -> bool:
    return chart.log and bool((_values(chart) > 0).any())


def _window(chart: Chart) -> tuple[float, float]:
    """The lowest and the highest value shown: of all values, unless some lie so far out that the
    rest could not be told apart."""
    if chart.limits:
        return chart.limits
    values = _values(chart)
    if _is_logarithmic(chart):
        low, high = _limits(np.log10(values[values > 0]))
        return 10**low, 10**high
    return _limits(values) if len(values) else (0.0, 1.0)


def _limits(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    low, high = values.min(), values.max()
    inner_low, inner_high = np.quantile(values, [0.1, 0.9])
    inner = inner_high - inner_low
    if high - low > 20 * inner > 0:
        low, high = max(low, inner_low - inner), min(high, inner_high + inner)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return float(low - margin), float(high + margin)
