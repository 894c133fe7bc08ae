"""Times that the simulator predicts beside those that `voicebot replay --json` measured.

When a turn is over is no matter of the processor, so soft end and commit are taken from the measurement, like the
words; all that lies between a soft end and the first audio is predicted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from voicebot.config.pipeline import ClauseSettings, LadderSettings
from voicebot.cpu.seats import seats
from voicebot.errors import VoicebotError
from voicebot.latency.percentiles import percentile
from voicebot.sim.batcher import Batcher
from voicebot.sim.chip import Chip
from voicebot.sim.costs import SMOLLM2_135M
from voicebot.sim.governors import performance
from voicebot.sim.here import NOISE, here
from voicebot.sim.machine import Machine
from voicebot.sim.script import DOUBTFUL, TurnScript
from voicebot.sim.service import Service, Turn
from voicebot.sim.session import Session
from voicebot.sim.shape import Shapes
from voicebot.sim.workers import Desk

_SHARES: Final = {"p50": 0.5, "p95": 0.95}
_APART_S: Final = 60.0
_WORDS_PER_S: Final = 2.5
_PAUSES: Final = ",;:.!?\u2026"
_TOKEN: Final = re.compile(r"\d|[^\W\d_]+|[^\w\s]|_")
_SPANS: Final[Mapping[str, tuple[str, str]]] = {
    "recognition": ("soft_end", "asr_final"),
    "language model": ("asr_final", "slm_first_clause"),
    "synthesis": ("slm_first_clause", "tts_first_audio"),
    "first audio after the soft end": ("soft_end", "tts_first_audio"),
    "voice to voice": ("speech_end", "audible"),
}

Marks = Mapping[str, float]
"""When things happened, in ms after the last voiced sample."""


class Pair(NamedTuple):
    """One quantile, measured and predicted."""

    measured: float
    predicted: float

    @property
    def difference(self) -> float:
        """How much more was predicted, as a share of the measured."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True, slots=True)
class Validation:
    """What was predicted beside what was measured, in ms."""

    cores: int
    turns: int
    quantiles_ms: Mapping[str, Mapping[str, Pair]]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One turn of a replay that the language model answered."""

    words: int
    clause_tokens: tuple[int, ...]
    """Those of the reply's first clause, and of all that follows it."""
    marks_ms: Marks


def read_replay(file: Path) -> list[Spoken]:
    """Return the turns of a replay's JSON that the model answered to the end. Raises VoicebotError without any."""
    try:
        turns = json.loads(file.read_text("utf-8"))["turns"]
        found = [_spoken(turn) for turn in turns if turn["source"] == "slm" and not turn["interrupted"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VoicebotError(f"{file} is no output of `voicebot replay --json` ({error!r}).") from error
    complete = [each for each in found if all(math.isfinite(mark) for mark in each.marks_ms.values())]
    if not complete:
        raise VoicebotError(f"{file} has no turn that the language model answered.")
    return complete


def validate(spoken: Sequence[Spoken], cores: int, seed: int) -> Validation:
    """Predict all turns on so many cores of this machine."""
    predicted = predict(here(cores), spoken, seed)
    measured = [each.marks_ms for each in spoken]
    quantiles = {
        name: {
            share: Pair(_quantile(measured, span, number), _quantile(predicted, span, number))
            for share, number in _SHARES.items()
        }
        for name, span in _SPANS.items()
    }
    return Validation(cores, len(spoken), quantiles)


def predict(chip: Chip, spoken: Sequence[Spoken], seed: int) -> list[Marks]:
    """Simulate the turns one after the other, each on a quiet box; return their marks."""
    machine = Machine(chip, performance())
    # The second thread of recognition and synthesis brings nothing there (here.py).
    seated = {role: replace(seat, threads=1) for role, seat in seats(chip.box).seats.items()}
    service = Service(
        machine,
        chip,
        SMOLLM2_135M,
        asr=Desk(machine, "asr", seated),
        tts=Desk(machine, "tts", seated),
        turn=Desk(machine, "turn", seated),
        slm=Batcher(machine, chip, SMOLLM2_135M, seated, f"{seed}/steps", NOISE),
        # What the ladder did is in the measurement.
        shapes=Shapes(chip, SMOLLM2_135M, seated["slm"].threads, LadderSettings(enabled=False)),
        noise=NOISE,
    )
    Session("replay", (_script(each, number, seed) for number, each in enumerate(spoken, 1)), service)
    machine.run_until(_APART_S * (len(spoken) + 1))
    return [_marks(turn) for turn in service.turns]


def _script(spoken: Spoken, number: int, seed: int) -> TurnScript:
    seed_of_turn = f"{seed}/{number}"
    return TurnScript(
        number,
        begin_s=_APART_S * number,
        speech=((0.0, spoken.words / _WORDS_PER_S),),
        soft_end_s=spoken.marks_ms["soft_end"] / 1000,
        endpoint_s=spoken.marks_ms["committed"] / 1000,
        clause_tokens=spoken.clause_tokens,
        seed=seed_of_turn,
        doubtful=Random(seed_of_turn).random() < DOUBTFUL,  # noqa: S311
    )


def _spoken(turn: Mapping[str, Any]) -> Spoken:
    needed = {mark for span in _SPANS.values() for mark in span} | {"committed"}
    known = {**turn["marks_ms"], "speech_end": 0.0}
    marks = {name: math.nan if known[name] is None else float(known[name]) for name in needed}
    rung = turn.get("ladder", {}).get("first clause")
    most = int(rung.split()[0]) if rung else ClauseSettings().first_words
    return Spoken(max(1, len(turn["user"].split())), clause_tokens(turn["reply"], most), marks)


def clause_tokens(reply: str, most_words: int) -> tuple[int, ...]:
    """Return how many tokens the first clause of a reply has, and all the rest of it.

    It ends at a pause, as in `turn/chunker.py`, or after so many words. A token is a word, a digit or a sign.
    """
    words = reply.split()
    first = min(most_words, len(words))
    for number, word in enumerate(words[:first], 1):
        letters = sum(map(str.isalpha, "".join(words[:number])))
        if word[-1] in _PAUSES and letters >= ClauseSettings().first_letters:
            first = number
            break
    counts = [len(_TOKEN.findall(" ".join(part))) for part in (words[:first], words[first:])]
    return tuple(count for count in counts if count) or (1,)


def _marks(turn: Turn) -> Marks:
    names = {mark for span in _SPANS.values() for mark in span}
    return {name: (getattr(turn, f"{name}_s") - turn.speech_end_s) * 1000 for name in names}


def _quantile(turns: Iterable[Marks], span: tuple[str, str], share: float) -> float:
    return percentile([marks[span[1]] - marks[span[0]] for marks in turns], share) or math.nan
