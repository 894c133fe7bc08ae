"""`voicebot models`: list, pull, add and verify the models of this box."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from voicebot.cli.tune import tune_models
from voicebot.errors import ModelError
from voicebot.models.catalogue import BYTES_PER_MB, STAGE_OF_ENGINE, Engine, Model, load_catalogue
from voicebot.models.download import Progress as Moved
from voicebot.models.store import FileStatus, Store

app = typer.Typer(
    no_args_is_help=True, help="The models of this box: what is installed, what can be, and whether it is sound."
)

app.command("tune")(tune_models)

_PLAIN_STEP: Final = 0.1
_VOUCHED: Final = {"catalogue": "known hash", "publisher": "publisher-vouched", "you": "your own", "box": "made here"}

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]


@app.command("list")
def list_models(*, as_json: JsonFlag = False) -> None:
    """List all models: installed or not, size, memory, licence, who vouches for the hash, format if it was tuned."""
    store = _open_store()
    models = sorted(store.as_used().models.values(), key=lambda model: (model.stage, model.size))
    if as_json:
        _print_json({"root": str(store.root), "models": [_described(store, model) for model in models]})
        return
    table = Table("model", "stage", "state", "size", "memory", "licence", "hash", "format", box=None, pad_edge=False)
    for model in models:
        row = _described(store, model)
        default = " *" if row["default"] else ""
        table.add_row(
            f"{model.id}{default}",
            model.stage,
            "installed" if row["installed"] else "-",
            f"{'~' if row['size_approximate'] else ''}{model.size / BYTES_PER_MB:.0f} MB",
            f"{model.memory.weights_mb + model.memory.work_mb:.0f} MB",
            f"{model.licence}{' (to be accepted)' if model.accept_licence else ''}",
            _VOUCHED[model.vouched],
            str(row["format"]),
        )
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)
    console.print(f"* default. Store: {store.root}", soft_wrap=True, highlight=False)


@app.command()
def pull(
    model_ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Models; none: the defaults.")] = None,
    *,
    all_defaults: Annotated[bool, typer.Option("--all-defaults", help="The default of every stage too.")] = False,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="I read and accept the terms.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Fetch models, resuming what was interrupted. This is the only command that uses the network."""
    store = _open_store()
    wanted = list(model_ids or [])
    if all_defaults or not wanted:
        wanted += store.catalogue.defaults.values()
    pulled = []
    for model in [store.catalogue.model(model_id) for model_id in dict.fromkeys(wanted)]:
        with _progress(model.id) as moved:
            path = store.pull(model.id, moved, accept_licence=accept_licence)
        typer.echo(f"{model.id}: installed ({_VOUCHED[model.vouched]})", err=True)
        pulled.append({"id": model.id, "path": str(path), "vouched": model.vouched})
    if as_json:
        _print_json({"root": str(store.root), "models": pulled})


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="A .gguf, a .onnx voice with its .onnx.json, or a Whisper folder.")],
    *,
    engine: Annotated[Engine, typer.Option(help="What runs it.")],
    model_id: Annotated[str, typer.Option("--id", help="Its name from now on; default: the file's.")] = "",
    licence: Annotated[str, typer.Option(help="Its licence, for your own records.")] = "unknown",
    link: Annotated[bool, typer.Option("--link", help="Link to the files in place of a copy.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Add a model of your own, recorded with its hash."""
    store = _open_store()
    model = store.add(
        path,
        model_id or path.name.removesuffix(".gguf").removesuffix(".onnx"),
        STAGE_OF_ENGINE[engine],
        engine,
        licence,
        link=link,
    )
    typer.echo(f"{model.id}: added to {store.root}", err=True)
    if as_json:
        _print_json(_described(store, model))


@app.command()
def verify(
    model_ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Models; none: all installed.")] = None,
    *,
    as_json: JsonFlag = False,
) -> None:
    """Hash every file again. Exits with 1 when one is missing or damaged."""
    store = _open_store()
    ids = model_ids or [model_id for model_id in store.catalogue.models if _is_there(store, model_id)]
    checked = {model_id: store.verify(model_id) for model_id in ids}
    if as_json:
        _print_json({"root": str(store.root), "models": {k: [_file(s) for s in v] for k, v in checked.items()}})
    else:
        for model_id, statuses in checked.items():
            for status in statuses:
                typer.echo(f"{status.state:8}{model_id}/{status.name} ({_VOUCHED[status.vouched]})")
    wrong = [model_id for model_id, statuses in checked.items() if any(s.state != "ok" for s in statuses)]
    if wrong:
        lost = [s for model_id in wrong for s in checked[model_id] if s.state != "ok"]
        command = "tune" if all(status.vouched == "box" for status in lost) else "pull"
        raise ModelError(
            f"{', '.join(wrong)}: files are missing or damaged; run `voicebot models {command} {' '.join(wrong)}`."
        )


def _open_store() -> Store:
    root = Store.default_root()
    return Store(root, load_catalogue(root))


def _is_there(store: Store, model_id: str) -> bool:
    return (store.root / model_id).is_dir()


def _described(store: Store, model: Model) -> dict[str, object]:
    return {
        "id": model.id,
        "stage": model.stage,
        "engine": model.engine,
        "title": model.title,
        "languages": model.languages,
        "default": model.id in store.catalogue.defaults.values(),
        "installed": store.is_installed(model.id),
        "format": tuned.chosen.format if (tuned := store.tuned(model.id)) else "",
        "size": model.size,
        "size_approximate": model.vouched == "publisher",
        "licence": model.licence,
        "licence_url": model.licence_url,
        "accept_licence": model.accept_licence,
        "memory": model.memory.model_dump(),
        "vouched": model.vouched,
    }


def _file(status: FileStatus) -> dict[str, str]:
    return {
        "name": status.name,
        "path": str(status.path),
        "state": status.state,
        "sha256": status.sha256,
        "vouched": status.vouched,
    }


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


@contextmanager
def _progress(name: str) -> Iterator[Moved]:
    """Show bytes as they come on stderr: a bar on a terminal, a line every tenth otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _PlainProgress(name).moved
        return
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _PlainProgress:
    def __init__(self, name: str) -> None:
        self._name = name
        self._next_share = _PLAIN_STEP

    def moved(self, done: int, total: int) -> None:
        if done >= self._next_share * total:
            typer.echo(f"{self._name}: {done / BYTES_PER_MB:.0f} of {total / BYTES_PER_MB:.0f} MB", err=True)
            self._next_share = done / total + _PLAIN_STEP
