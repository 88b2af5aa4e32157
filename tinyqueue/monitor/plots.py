"""Learning curves as images. Needs matplotlib, which is optional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyqueue.errors import MissingExtraError, NothingRecordedError
from tinyqueue.monitor.curves import Curve, merge, read_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#66a61e")


def plot_learning_curve(
    runs: Sequence[Path],
    out: Path,
    *,
    level: float | None = None,
    info: str | None = None,
    left_out: Callable[[Path], None] = lambda run: None,
) -> Path:
    """Draws return against env steps: mean, min–max band, evaluations, level.

    Runs of one experiment under one protocol become one line whose band spans the runs; a
    single run's band spans its episodes.

    Args:
        runs: Run directories, at least one.
        out: The image file; its suffix sets the format. Its folder is created if missing.
        level: Drawn as a line; the runs' own level if None.
        info: A number of ``metrics.info`` to draw instead of the return.
        left_out: Called for each run that holds no finished episode, if others do.

    Returns:
        ``out``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        RunDirectoryError: No run holds a finished episode, or one is damaged.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plot", "a learning curve") from error
    curves = _read(runs, info, left_out)
    alike: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        alike.setdefault((curve.experiment, curve.protocol), []).append(curve)
    merged = [merge(group) for group in alike.values()]

    figure = Figure(figsize=(8, 4.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for curve, colour in zip(merged, _repeated(COLOURS, len(merged)), strict=True):
        _draw(
            axes, curve, colour, f"mean {info or 'return'}" if len(merged) == 1 else _titled(curve)
        )
    drawn = {c.level for c in merged if c.level is not None} if level is None else {level}
    for value in sorted(drawn):
        axes.axhline(value, color="#444444", linestyle="--", linewidth=1, label=f"level {value:g}")
    _dress(axes, _titled(merged[0]) if len(merged) == 1 else "", info or "return")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    return out


def _read(runs: Sequence[Path], info: str | None, left_out: Callable[[Path], None]) -> list[Curve]:
    """The curves of all runs that have one."""
    curves, empty = list[Curve](), list[NothingRecordedError]()
    for run in runs:
        try:
            curves.append(read_curve(run, info))
        except NothingRecordedError as error:
            empty.append(error)
    if not curves:
        raise empty[0]
    for nothing in empty:
        left_out(nothing.run)
    return curves


def _titled(curve: Curve) -> str:
    return f"{curve.label}, {curve.protocol}" if curve.protocol else curve.label


def _draw(axes: Axes, curve: Curve, colour: str, label: str) -> None:
    band = "min–max of the runs" if curve.runs > 1 else "min–max of the episodes"
    axes.fill_between(
        curve.env_steps, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0, label=band
    )
    axes.plot(curve.env_steps, curve.mean, color=colour, linewidth=1.8, label=label)
    if len(curve.evaluated_steps):
        axes.plot(
            curve.evaluated_steps,
            curve.evaluated_means,
            linestyle="none",
            marker="o",
            markersize=5,
            markerfacecolor="white",
            markeredgecolor=colour,
            label="greedy evaluation",
        )


def _dress(axes: Axes, title: str, what: str) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("env steps")
    axes.set_ylabel(what)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    # Outside the axes: finding the best place within takes seconds on a slow machine, and
    # matplotlib warns about it.
    axes.figure.legend(
        once.values(), once.keys(), frameon=False, fontsize=9, loc="outside lower center", ncols=2
    )


def _repeated(colours: Sequence[str], count: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(count)]
