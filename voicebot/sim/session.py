"""A person in front of a microphone: speaks, pauses, listens, asks again.

Partials are recognised every 700 ms of speech and read ahead by the language model. A soft end starts the reply on what
was said; if the user goes on, it is dropped. Users hear replies out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Final

from voicebot.cpu.demand import Phase, SessionDemand
from voicebot.sim.costs import SHORTEST_WINDOW_S
from voicebot.sim.reply import Reply
from voicebot.sim.script import TurnScript
from voicebot.sim.service import Revision, Service, Turn

PARTIAL_S: Final = 0.7
_WINDOW_MARGIN_S: Final = 1.2
_TOKENS_PER_SECOND: Final = 3.3
"""Of speech that is heard."""
_TEMPLATE_TOKENS: Final = 6
_NEARLY: Final = 1e-9


class Session:
    """One conversation."""

    def __init__(self, name: str, scripts: Iterator[TurnScript], service: Service) -> None:
        self.name = name
        self._scripts = scripts
        self._service = service
        self._machine = service.machine
        self._talk: _Talk | None = None
        self._plan_next()

    def demand(self) -> SessionDemand:
        """Return what the daemon knows of its needs."""
        return SessionDemand(self.name, Phase.IDLE) if self._talk is None else self._talk.demand()

    def _plan_next(self) -> None:
        script = next(self._scripts, None)
        if script is not None:
            self._machine.at(script.begin_s, lambda: self._begin(script))

    def _begin(self, script: TurnScript) -> None:
        self._talk = _Talk(self, script, self._service)
        self._service.on_change()

    def ended(self) -> None:
        """Note that the reply was heard."""
        self._talk = None
        self._service.on_change()
        self._plan_next()


class _Talk:
    """One request and its answer."""

    def __init__(self, session: Session, script: TurnScript, service: Service) -> None:
        self._session = session
        self._script = script
        self._service = service
        self._machine = service.machine
        self._noise = Random(script.seed)  # noqa: S311
        self._turn = Turn(session.name, script.number, self._machine.now_s)
        service.turns.append(self._turn)
        self._warm_tokens = 0
        self._revision = Revision(service, session.name, self._noise)
        self._reply: Reply | None = None
        for index in range(len(script.speech)):
            self._plan(index)

    def demand(self) -> SessionDemand:
        """Return what the daemon knows of its needs."""
        return SessionDemand(self._session.name, Phase.LISTENING) if self._reply is None else self._reply.demand()

    def _plan(self, index: int) -> None:
        """Plan one stretch of speech and the silence after it."""
        script, begin_s = self._script, self._turn.begin_s
        from_s, to_s = script.speech[index]
        before_s = sum(end_s - start_s for start_s, end_s in script.speech[:index])
        said_s = before_s + to_s - from_s
        if index:
            self._machine.at(begin_s + from_s, self._go_on)
        for heard_s in partials(said_s):
            if heard_s > before_s:
                self._machine.at(begin_s + from_s + heard_s - before_s, partial(self._partial, heard_s))
        last = index + 1 == len(script.speech)
        pause_s = math.inf if last else script.speech[index + 1][0] - to_s
        if pause_s > script.soft_end_s:
            self._machine.at(begin_s + to_s + script.soft_end_s, lambda: self._soft_end(begin_s + to_s, said_s))
        if last:
            self._machine.at(begin_s + to_s + script.endpoint_s, self._commit)

    def _go_on(self) -> None:
        """Say more; what was begun in the pause is for nothing."""
        if self._reply is not None:
            self._reply = None
            self._renew()
            self._service.on_change()

    def _renew(self) -> Revision:
        self._revision.drop()
        self._revision = Revision(self._service, self._session.name, self._noise)
        return self._revision

    def _partial(self, heard_s: float) -> None:
        revision, tokens, due_s = self._revision, int(heard_s * _TOKENS_PER_SECOND), self._machine.now_s + PARTIAL_S

        def recognised() -> None:
            if tokens > self._warm_tokens:
                revision.read(tokens - self._warm_tokens, lambda: self._warmed(tokens))

        revision.ask(self._service.asr, "asr", _window_s(heard_s), due_s, recognised)

    def _warmed(self, tokens: int) -> None:
        self._warm_tokens = max(tokens, self._warm_tokens)

    def _soft_end(self, speech_end_s: float, said_s: float) -> None:
        turn, tokens = self._turn, int(said_s * _TOKENS_PER_SECOND)
        turn.speech_end_s, turn.soft_end_s = speech_end_s, self._machine.now_s
        self._reply = Reply(self._renew(), turn, self._script.clause_tokens, self._session.ended)
        new_tokens = max(1, tokens - self._warm_tokens) + _TEMPLATE_TOKENS
        looks = 2 if self._script.doubtful else 1
        self._reply.begin(_window_s(said_s), looks, new_tokens, lambda: self._warmed(tokens))
        self._service.on_change()

    def _commit(self) -> None:
        if self._reply is not None:
            self._reply.commit()


def partials(said_s: float) -> Iterator[float]:
    """Yield when partials are recognised: at ever greater distances, in proportion to what was said."""
    heard_s = PARTIAL_S
    while heard_s < said_s - _NEARLY:
        yield heard_s
        heard_s += max(PARTIAL_S, heard_s / 2)


def _window_s(said_s: float) -> float:
    """Return how much is encoded."""
    return max(SHORTEST_WINDOW_S, said_s + _WINDOW_MARGIN_S)
