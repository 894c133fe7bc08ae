"""`voicebot simulate`: users, a box that is computed, and what may set its frequencies, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from voicebot.cli.common import JsonOption, print_json
from voicebot.cli.simulate.costs import described_costs, learnt, print_costs
from voicebot.cli.simulate.report import described, described_validation
from voicebot.cli.simulate.tables import print_study, print_validation
from voicebot.errors import UsageError
from voicebot.sim.chip import Chip, rk3588, x86_8core
from voicebot.sim.compare import GAINS, VOICEBOT, regimes, without
from voicebot.sim.costs import SLM_1_5B, SLM_2B, SMOLLM2_135M, Models
from voicebot.sim.plots import check_matplotlib, draw
from voicebot.sim.study import Question, Step, study
from voicebot.sim.validation import read_replay, validate

BOXES: Final[dict[str, Callable[[], Chip]]] = {"rk3588": rk3588, "x86": x86_8core}
MODELS: Final = {model.weights / 1e9: model for model in (SMOLLM2_135M, SLM_1_5B, SLM_2B)}


def simulate(
    *,
    box: Annotated[Literal["rk3588", "x86"], typer.Option(help="Which box.")] = "rk3588",
    users: Annotated[int, typer.Option(min=1, max=100, help="Who talk to it, each every 20 s on average.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.5, max=1440, help="For how long.")] = 20.0,
    model_b: Annotated[
        float, typer.Option("--model-b", help="Weights of the language model in 10^9: 0.135, 1.5 or 2.")
    ] = 1.5,
    governors: Annotated[
        list[str] | None,
        typer.Option("--governor", metavar="NAME", help="Only this one; may be repeated. fixed:KHZ is one frequency."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one has other users.")] = 1,
    off: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="GAIN", help=f"Switch this off; may be repeated: {', '.join(GAINS)}."),
    ] = None,
    gains: Annotated[bool, typer.Option("--gains", help="Take the gain apart: without each of them in turn.")] = False,
    vary: Annotated[
        float, typer.Option(min=0, max=90, help="Vary each parameter of the box up and down by so many percent.")
    ] = 0.0,
    costs: Annotated[
        bool, typer.Option("--costs", help="Hold what the daemon would learn of the stages against the truth.")
    ] = False,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw into this folder.")] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--validate", metavar="FILE", help="Predict what `voicebot replay --json` measured here."),
    ] = None,
    cores: Annotated[int, typer.Option(min=1, max=2, help="With --validate: how many it ran on.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Simulate an 8-core box under voicebot's policy and under Linux's governors, and compare them."""
    if replay is not None:
        validation = validate(read_replay(replay), cores, seed)
        if as_json:
            print_json(described_validation(validation))
        else:
            print_validation(validation)
        return
    chip = BOXES[box]()
    chosen = [without(off or []) if each.name == VOICEBOT else each for each in regimes(chip, governors or [])]
    question = Question(chip, _models(model_b), users, minutes * 60, seed, chosen, gains, vary / 100)
    if vary and (len(chosen) < 2 or not chosen[0].name.startswith(VOICEBOT)):
        raise UsageError(f"--vary compares {VOICEBOT}, named first, with at least one other.")
    if costs:
        with _progress() as step:
            runs = learnt(question, step)
        if as_json:
            print_json(described_costs(question, runs))
        else:
            print_costs(question, runs)
        return
    if plots is not None:
        check_matplotlib()
    with _progress() as step:
        done = study(question, step)
        files = [] if plots is None else draw(done, plots)
    if as_json:
        print_json({**described(done), "plots": [str(file) for file in files]})
    else:
        print_study(done)
        for file in files:
            typer.echo(str(file))


def _models(model_b: float) -> Models:
    if model_b not in MODELS:
        raise UsageError(f"there is no model of {model_b:g}; there are {', '.join(f'{each:g}' for each in MODELS)}.")
    return MODELS[model_b]


@contextmanager
def _progress() -> Iterator[Step]:
    """Say on a terminal's stderr what is simulated."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _what: None
        return
    with console.status("simulating") as status:
        yield lambda what: status.update(f"simulating {what}")
