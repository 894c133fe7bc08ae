"""The `voicebot` command: one file per subcommand, and one place where errors become a sentence and an exit code."""

from __future__ import annotations

import sys

import typer

from voicebot import __version__
from voicebot.cli import (
    ask,
    bench,
    control,
    doctor,
    models,
    plan,
    recorder,
    replay,
    run,
    say,
    simulate,
    status,
    talk,
    transcribe,
)
from voicebot.errors import VoicebotError, first_error

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A voice assistant that answers before a pause is felt, and never leaves this box.",
)
app.command("replay")(replay.replay)
app.command("run")(run.run)
app.command("talk")(talk.talk)
app.command("ask")(ask.ask)
app.command("say")(say.say)
app.command("transcribe")(transcribe.transcribe)
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
app.command("status")(status.status)
app.command("stop")(control.stop)
app.command("listen")(control.listen)
app.command("mute")(control.mute)
app.command("unmute")(control.unmute)
app.command("volume")(control.volume)
app.command("sessions")(control.sessions)
app.command("reload")(control.reload)
app.command("events")(control.events)
app.add_typer(recorder.app, name="recorder")
app.command("plan")(plan.plan)
app.add_typer(bench.app, name="bench")
app.command("simulate")(simulate.simulate)


@app.callback(invoke_without_command=True)
def _root(*, version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:  # noqa: FBT003
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; errors end as one sentence on standard error and the exit code of their kind."""
    try:
        app()
    except VoicebotError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        ours, other = group.split(VoicebotError)
        if other is not None or ours is None:
            raise
        _fail(first_error(ours))
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: VoicebotError) -> None:
    print(f"voicebot: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)
