"""`voicebot models tune`: choose the format of a language model's weights for this box."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.config.load import Settings
from voicebot.errors import ModelError, UsageError
from voicebot.models.catalogue import BYTES_PER_MB
from voicebot.models.format_choice import MOST_LOSS, Verdict, loss, turn_ms
from voicebot.models.formats import Format, formats
from voicebot.models.gguf import layer_count
from voicebot.models.store import Store
from voicebot.models.tuned import Figures
from voicebot.workers.threads import Threads

if TYPE_CHECKING:
    from voicebot.models.tune import Step, Tuning

_PACKAGE: Final = Path(__file__).parents[1]
_SHIPPED: Final = (_PACKAGE / "share" / "fixtures", _PACKAGE.parent / "fixtures")


def tune_models(
    model_id: Annotated[str, typer.Argument(metavar="[MODEL]", help="Default: the pipeline's language model.")] = "",
    *,
    most_loss: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How much the perplexity may grow: 0.02 is 2 %.")
    ] = MOST_LOSS,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each format is timed.")] = 5,
    only: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help="Try only this one; may be repeated.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Measure the perplexity on this text.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Return to the weights as they were installed.")] = False,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Rewrite a language model in several formats, measure them here, and keep the fastest that predicts as well."""
    settings = load(pipeline, profile)
    store = open_store(settings)
    model_id = model_id or settings.pipeline.slm.model
    if store.catalogue.model(model_id).engine != "llama":
        raise UsageError(f"{model_id} is no language model for llama.cpp; only those can be tuned.")
    if undo:
        _undo(store, model_id, as_json=as_json)
        return
    from voicebot.models.tune import tune  # noqa: PLC0415

    source, sha256 = store.installed(model_id)
    candidates = _named(only or [], formats(layer_count(source)))
    tuning = _tuning(settings, text, rounds, most_loss)
    try:
        with _progress(model_id) as step:
            verdict = tune(store.root, model_id, source, sha256, candidates, tuning, step)
    except KeyboardInterrupt:
        typer.echo(f"voicebot: interrupted; {model_id} is as it was before.", err=True)
        raise
    if as_json:
        print_json({"model": model_id, "path": str(store.path(model_id)), **described(verdict, tuning)})
    else:
        _print(verdict)


def described(verdict: Verdict, tuning: Tuning) -> dict[str, Any]:
    """Return the verdict as JSON has it: bytes, milliseconds, relative loss."""
    installed = verdict.measured[0]

    def row(each: Figures) -> dict[str, Any]:
        times = {name: round(value, 2) for name, value in each.speed.model_dump().items()}
        return {
            "format": each.format,
            "size": each.size,
            **times,
            "turn_ms": round(turn_ms(each.speed), 1),
            "perplexity": round(each.perplexity, 3),
            "loss": round(loss(each, installed), 4),
            "chosen": each.format == verdict.chosen,
        }

    threads = {"threads": tuning.threads, "prefill_threads": tuning.prefill_threads}
    rows = [row(each) for each in verdict.measured]
    return {"chosen": verdict.chosen, "most_loss": tuning.most_loss, **threads, "formats": rows}


def _named(names: list[str], candidates: Sequence[Format]) -> list[Format]:
    known = {form.name: form for form in candidates}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there is no format {', '.join(unknown)}; there are {'; '.join(known)}.")
    return [known[name] for name in names] if names else list(candidates)


def _undo(store: Store, model_id: str, *, as_json: bool) -> None:
    undone = store.untune(model_id)
    if as_json:
        print_json({"model": model_id, "undone": undone})
    else:
        typer.echo(f"{model_id}: {'as installed again' if undone else 'was not tuned'}.")


def _tuning(settings: Settings, text: Path | None, rounds: int, most_loss: float) -> Tuning:
    from voicebot.models.tune import Tuning  # noqa: PLC0415 - llama.cpp takes a while to load, and few commands need it

    threads = Threads.choose(settings.box.cores, len(os.sched_getaffinity(0)))
    return Tuning(
        text=_read(text or _shipped("perplexity.txt")),
        calibration=_read(_shipped("calibration.txt")),
        threads=threads.slm,
        prefill_threads=threads.slm_prefill,
        rounds=rounds,
        most_loss=most_loss,
    )


def _shipped(name: str) -> Path:
    return next((folder / name for folder in _SHIPPED if (folder / name).is_file()), _SHIPPED[0] / name)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"the text {path} can't be read ({error}); give another with --text.") from error


def _print(verdict: Verdict) -> None:
    installed = verdict.measured[0]
    table = Table(
        *("format", "MB", "prefill 128", "prefill 16", "ms per token", "turn ms", "perplexity", "loss", ""),
        box=None,
        pad_edge=False,
    )
    for column in table.columns[1:-1]:
        column.justify = "right"
    for each in verdict.measured:
        table.add_row(
            each.format,
            f"{each.size / BYTES_PER_MB:.0f}",
            f"{each.speed.prefill_128_ms:.0f}",
            f"{each.speed.prefill_16_ms:.0f}",
            f"{each.speed.token_ms:.1f}",
            f"{turn_ms(each.speed):.0f}",
            f"{each.perplexity:.2f}",
            f"{loss(each, installed):+.1%}",
            "chosen" if each.format == verdict.chosen else "",
        )
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=160, highlight=False)
    console.print(table)


@contextmanager
def _progress(model_id: str) -> Iterator[Step]:
    """Say on stderr what is being done: one changing line on a terminal, a line each otherwise."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda what: typer.echo(f"{model_id}: {what}", err=True)
        return
    with console.status(model_id) as status:
        yield lambda what: status.update(f"{model_id}: {what}")
