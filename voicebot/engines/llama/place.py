"""Where a session's requests are worked on: its slot, its view of the conversation, and its jobs one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from voicebot.engines.llama.context import Context
from voicebot.engines.llama.job import Job
from voicebot.engines.llama.slot import Slot
from voicebot.engines.llama.speculation import Guessers
from voicebot.engines.llama.weights import Weights
from voicebot.engines.llama.window import Window
from voicebot.errors import VoicebotError


@dataclass(slots=True)
class Place:
    """One of the model's places for a session."""

    slot: Slot
    window: Window
    session: str | None = None
    jobs: deque[Job] = field(default_factory=deque)
    """Those under way, in the order in which they came. Only the first is worked on, but see `line`."""
    guessers: Guessers | None = None
    used: int = 0
    """The step in which it was used last."""

    def line(self) -> tuple[Job, ...]:
        """Return the first job, and those behind it that are read on its way: each one's target begins with the last's.

        So the question whether a sentence has ended is answered in passing, while the prompt of the reply is read.
        """
        line = [self.jobs[0]]
        for job in list(self.jobs)[1:]:
            last = line[-1]
            if last.reply is not None or job.target[: len(last.target)] != last.target:
                break
            line.append(job)
        return tuple(line)

    def end(self, job: Job, error: VoicebotError | None = None) -> None:
        """Let a job be over."""
        self.jobs.remove(job)
        job.close()
        job.answer.end(error)


class Places:
    """All places. A session keeps its own until another one needs it more."""

    def __init__(self, weights: Weights, context: Context, count: int, capacity: int, scratch: int) -> None:
        """`capacity`: tokens that one holds. `scratch`: an empty sequence that all may use."""
        self._weights = weights
        self._capacity = capacity
        self._places = [Place(Slot(context, sequence, scratch), Window(weights, capacity)) for sequence in range(count)]

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    @property
    def busy(self) -> Sequence[Place]:
        """Those with something to do."""
        return [place for place in self._places if place.jobs]

    def of(self, session: str) -> Place | None:
        """Return the session's place: its own, else the one that was idle for longest; None while all are busy."""
        for place in self._places:
            if place.session == session:
                return place
        free = [place for place in self._places if not place.jobs]
        if not free:
            return None
        place = min(free, key=lambda place: place.used)
        place.session, place.guessers = session, None
        place.window = Window(self._weights, self._capacity)
        place.slot.clear()  # what one session said is not for another one to find, not even by how fast it is read
        return place
