"""A picture of a long run: memory with its line, and all that is counted. Needs matplotlib, of the extra `plots`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voicebot.bench.growth import Sample, fit, warm
from voicebot.errors import VoicebotError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI: Final = 90


def draw(samples: Sequence[Sample], file: Path) -> None:
    """Draw them into a file, whose ending says how. Raises VoicebotError when it can't be written."""
    try:
        growth_figure(samples).savefig(file, dpi=_DPI)
    except (OSError, ValueError) as error:
        raise VoicebotError(f"{file}: the plot can't be written ({error}).") from error


def growth_figure(samples: Sequence[Sample]) -> Figure:
    """Return the picture; the warm-up is grey."""
    from matplotlib.figure import Figure as NewFigure  # noqa: PLC0415 - plots are an extra

    workers = bool(samples[-1].anonymous_mb)
    figure = NewFigure(figsize=(8, 7 if workers else 5), layout="constrained")
    figure.suptitle(f"{samples[-1].hours:.1f} h, {samples[-1].turns} turns")
    rows = figure.subplots(3 if workers else 2, 1, sharex=True)
    _memory(rows[0], samples, [sample.rss_mb for sample in samples], "daemon, RSS")
    if workers:
        _memory(rows[1], samples, [sample.allocated_mb for sample in samples], "workers, allocated")
    for name in ("tasks", "threads", "descriptors"):
        counts = [getattr(sample, name) for sample in samples]
        rows[-1].plot([sample.hours for sample in samples], counts, drawstyle="steps-post", label=name)
    rows[-1].set_ylim(bottom=0)
    rows[-1].legend(fontsize=8)
    rows[-1].set_xlabel("hours")
    for axes in rows:
        axes.axvspan(0, warm(samples)[0].hours, color="0.92")
        axes.grid(alpha=0.3)
    return figure


def _memory(axes: Axes, samples: Sequence[Sample], values_mb: Sequence[float], name: str) -> None:
    kept = warm(samples)
    line = fit([sample.hours for sample in kept], values_mb[-len(kept) :])
    axes.plot([sample.hours for sample in samples], values_mb, linewidth=1, label=name)
    ends = [kept[0].hours, kept[-1].hours]
    label = f"{line.slope:+.3f} ± {line.error:.3f} MB an hour"
    axes.plot(ends, [line.at_start + line.slope * hour for hour in ends], "--", color="black", label=label)
    axes.set_ylim(0, 1.25 * max(values_mb))
    axes.set_ylabel("MB")
    axes.legend(fontsize=8, loc="lower right")
