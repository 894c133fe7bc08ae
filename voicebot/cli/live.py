"""Prints a conversation as it happens."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.markup import escape
from rich.segment import ControlType

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.events import (
    AttentionChanged,
    Event,
    FramesDropped,
    PartiallyTranscribed,
    Transcribed,
    TurnDiscarded,
    TurnEnded,
    WorkerChanged,
)

_ERASE_LINE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))


class LivePrinter:
    """An observer that writes a line for each thing a person would want to know.

    On a terminal the words are shown while they are spoken, on a line that the next one replaces.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._provisional = False

    def __call__(self, event: Event) -> None:
        """Print the event, if it is worth a line."""
        if isinstance(event, PartiallyTranscribed):
            self._show_for_now(event.text)
        elif line := _line(event):
            self._erase()
            self._console.print(line)

    def _show_for_now(self, text: str) -> None:
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            return
        self._erase()
        shown, room = text, max(1, self._console.width - len("you  ...") - 1)
        while cell_len(shown) > room:  # two lines could not be erased
            shown = shown[1:]
        if shown != text:
            shown = f"...{shown}"
        self._console.print(f"[cyan]you[/]  [dim]{escape(shown)}[/]", end="")
        self._provisional = True

    def _erase(self) -> None:
        if self._provisional:
            self._console.control(_ERASE_LINE)
            self._provisional = False


def _line(event: Event) -> str | None:  # noqa: PLR0911 - one for each event
    match event:
        case Transcribed(text=text, revision=revision) if text:
            again = "" if revision == 1 else f" [dim](revision {revision})[/]"
            return f"[bold cyan]you[/]  {escape(text)}{again}"
        case TurnEnded() as turn:
            return _reply(turn)
        case AttentionChanged(attentive=attentive):
            return f"[dim]     ({'listening' if attentive else 'waiting to be called'})[/]"
        case TurnDiscarded():
            return "[dim]     (heard something, but no words)[/]"
        case WorkerChanged(state="died") as worker:
            return f"[yellow]     the {worker.stage} worker died ({escape(worker.reason)}); starting another[/]"
        case FramesDropped(total=total):
            return f"[yellow]     {total} frames of the microphone were lost so far[/]"
        case _:
            return None


def _reply(turn: TurnEnded) -> str:
    audible = turn.marks.get("audible")
    after = ""
    if audible is not None:
        after = f" [dim]({(audible - turn.speech_end_sample) * 1000 / SAMPLE_RATE_HZ:.0f} ms)[/]"
    if turn.error is not None:
        return f"[bold green]bot[/]  {escape(turn.heard)} [red](apologised: {escape(turn.error)})[/]"
    if turn.interrupted:
        return f"[bold green]bot[/]  {escape(turn.heard)} [yellow]-- interrupted[/]{after}"
    return f"[bold green]bot[/]  {escape(turn.reply)}{after}"
