"""Pictures of simulations, as PNG and SVG. Needs matplotlib, which the extra `plots` brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voicebot.errors import VoicebotError
from voicebot.sim.compare import VOICEBOT, Row, front
from voicebot.sim.run import Outcome, Sample
from voicebot.sim.service import Turn
from voicebot.sim.study import Study, first_turn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS: Final = ("png", "svg")
_DPI: Final = 120
_KHZ_PER_GHZ: Final = 1e6
_STAGES: Final[Mapping[str, tuple[str, str]]] = {
    "asr": ("recognition", "tab:blue"),
    "slm_read": ("reading", "tab:orange"),
    "slm": ("decoding", "tab:red"),
    "tts": ("synthesis", "tab:green"),
    "turn": ("end of turn", "tab:purple"),
}


def check_matplotlib() -> None:
    """Raise VoicebotError where there is no matplotlib."""
    if find_spec("matplotlib") is None:
        raise VoicebotError("plots need matplotlib; install it with: pip install 'voicebot[plots]'.")


def draw(study: Study, folder: Path) -> list[Path]:
    """Draw a study: latency against energy, temperature, and a turn of the first one. Return the files."""
    question = study.question
    title = f"{question.chip.name}, {question.models.name}, {question.users} user{'s' * (question.users > 1)}"
    detailed = first_turn(question, study.outcomes[0])
    turn = min(detailed.turns, key=lambda turn: turn.end_s)
    name = f"{question.chip.name}-{question.users}"
    return [
        *save(latency_against_energy(title, study.rows), folder, f"{name}-energy"),
        *save(temperature_over_time(title, study.outcomes, question.chip.cooling.trip_c), folder, f"{name}-heat"),
        *save(turn_timeline(f"{title}, a turn with {detailed.regime}", detailed, turn), folder, f"{name}-turn"),
    ]


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure in each format and return the files. Raises VoicebotError when they can't be written."""
    files = [folder / f"{name}.{kind}" for kind in _FORMATS]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            figure.savefig(file, dpi=_DPI)
    except OSError as error:
        raise VoicebotError(f"{folder}: the plots can't be written ({error.strerror}).") from error
    return files


def latency_against_energy(title: str, rows: Sequence[Row]) -> Figure:
    """Draw each row as a point, and the front of all but voicebot's."""
    figure, axes = _figure(title)
    others = [row for row in rows if not row.name.startswith(VOICEBOT)]
    best = front(others)
    axes.plot([row.p95_ms for row in best], [row.turn_j for row in best], "--", color="0.6", label="front without it")
    for row in rows:
        ours = row not in others
        axes.plot(row.p95_ms, row.turn_j, "*" if ours else "o", markersize=14 if ours else 6, color=_colour(row.name))
        axes.annotate(row.name, (row.p95_ms, row.turn_j), (5, 5), textcoords="offset points", fontsize=8)
    axes.set_xlabel("voice to voice, p95, ms")
    axes.set_ylabel("energy per turn, J")
    axes.legend()
    return figure


def temperature_over_time(title: str, outcomes: Sequence[Outcome], trip_c: float) -> Figure:
    """Draw the die's temperature in each outcome, and the firmware's trip where anything comes near it."""
    figure, axes = _figure(title)
    for outcome in outcomes:
        minutes = [sample.time_s / 60 for sample in outcome.samples]
        celsius = [sample.die_c for sample in outcome.samples]
        axes.plot(minutes, celsius, label=outcome.regime, linewidth=1, color=_colour(outcome.regime))
    if any(outcome.hottest_c > trip_c - 20 for outcome in outcomes):
        axes.axhline(trip_c, color="black", linestyle=":", label="firmware's trip")
    axes.set_xlabel("minutes")
    axes.set_ylabel("die, °C")
    axes.legend(fontsize=8)
    return figure


def turn_timeline(title: str, outcome: Outcome, turn: Turn) -> Figure:
    """Draw one turn: its stages, the frequency of every cluster, and the power, from the outcome's detail."""
    from matplotlib.figure import Figure as NewFigure  # noqa: PLC0415

    figure = NewFigure(figsize=(9, 7), layout="constrained")
    figure.suptitle(title)
    stages, clocks, power = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    _draw_stages(stages, outcome, turn)
    seconds = [sample.time_s - turn.speech_end_s for sample in outcome.detail]
    for names, khz in _clocks(outcome.detail).items():
        clocks.plot(seconds, [each / _KHZ_PER_GHZ for each in khz], drawstyle="steps-post", label=names)
    clocks.set_ylabel("GHz")
    clocks.legend(fontsize=8)
    power.plot(seconds, [sample.watts for sample in outcome.detail], drawstyle="steps-post", color="black")
    power.set_ylabel("W")
    power.set_xlabel("seconds after the last voiced sample")
    return figure


def _draw_stages(axes: Axes, outcome: Outcome, turn: Turn) -> None:
    names = list(_STAGES)
    for span in outcome.spans:
        if span.session == turn.session and turn.begin_s <= span.begin_s and span.end_s <= turn.end_s:
            begin_s, length_s = span.begin_s - turn.speech_end_s, span.end_s - span.begin_s
            axes.barh(names.index(span.stage), length_s, left=begin_s, color=_STAGES[span.stage][1])
    marks = {"committed": turn.committed_s, "audible": turn.audible_s, "last voiced sample": turn.speech_end_s}
    for (mark, time_s), style in zip(marks.items(), (":", "-", "--"), strict=True):
        axes.axvline(time_s - turn.speech_end_s, color="0.4", linestyle=style, label=mark)
    axes.set_yticks(range(len(names)), [_STAGES[name][0] for name in names])
    axes.invert_yaxis()
    axes.legend(fontsize=8, loc="lower right")


def _clocks(samples: Iterable[Sample]) -> dict[str, list[int]]:
    """Return the frequency of each cluster over time; clusters that always have the same one are named together."""
    kept = list(samples)
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in kept[0].khz if kept else ():
        alike.setdefault(tuple(sample.khz[name] for sample in kept), []).append(name)
    return {", ".join(names): list(khz) for khz, names in alike.items()}


def _figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure as NewFigure  # noqa: PLC0415 - plots are an extra

    figure = NewFigure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(alpha=0.3)
    return figure, axes


def _colour(name: str) -> str:
    known = {"schedutil": "tab:orange", "ondemand": "tab:olive", "performance": "tab:red", "powersave": "tab:blue"}
    return "tab:green" if name.startswith(VOICEBOT) else known.get(name, "0.5")
