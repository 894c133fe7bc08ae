"""What the daemon does, in the one line that `systemctl status` shows."""

from __future__ import annotations

from voicebot.events import Event, StateChanged, TurnEnded, WorkerChanged
from voicebot.interfaces.notify import Notifier
from voicebot.interfaces.service import Service
from voicebot.latency.marks import voice_to_voice_ms


class StatusLine:
    """Tells systemd whenever that line changes. `observe` is an observer of a running service."""

    def __init__(self, notifier: Notifier, service: Service) -> None:
        self._notifier = notifier
        self._service = service
        self._missing: set[str] = set()
        self._turns = 0
        self._last = ""
        self._told = ""

    def observe(self, event: Event) -> None:
        """Note what has changed."""
        match event:
            case WorkerChanged():
                here = event.state in {"ready", "stopped"}
                (self._missing.discard if here else self._missing.add)(event.stage)
            case TurnEnded():
                self._turns += 1
                took_ms = voice_to_voice_ms(event.marks, event.speech_end_sample)
                self._last = "" if took_ms is None else f"last answer after {took_ms:.0f} ms"
            case StateChanged():
                pass
            case _:
                return
        self.tell()

    def tell(self) -> None:
        """Send the line, if it is another one."""
        if (line := self._line()) != self._told:
            self._told = line
            self._notifier.status(line)

    def _line(self) -> str:
        states = [f"{name} {session.state.value}" for name, session in self._service.sessions.items()]
        parts = [
            "microphone off" if self._service.muted else "",
            ", ".join(states) or "no conversation",
            f"turns: {self._turns}" if self._turns else "",
            self._last,
            f"waits for its {', '.join(sorted(self._missing))} worker" if self._missing else "",
        ]
        return "; ".join(filter(None, parts))
