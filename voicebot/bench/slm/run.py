"""Which part is measured by whom."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from voicebot.bench.slm import (
    decode,
    draft_models,
    first_token,
    lossless,
    memory,
    sessions,
    speculation,
    start,
    stop,
)
from voicebot.bench.slm.report import Part, PartName
from voicebot.bench.slm.subject import Subject
from voicebot.config.load import Settings
from voicebot.models.store import Store
from voicebot.workers.threads import Threads

_MEASURED_BY: Final[dict[PartName, Callable[[Subject], Part]]] = {
    PartName.MEMORY: memory.measure,
    PartName.FIRST_TOKEN: first_token.measure,
    PartName.DECODE: decode.measure,
    PartName.SPECULATION: speculation.measure,
    PartName.LOSSLESS: lossless.measure,
    PartName.DRAFT_MODELS: draft_models.measure,
    PartName.SESSIONS: sessions.measure,
    PartName.STOP: stop.measure,
}


def subject_of(settings: Settings, store: Store, repeats: int) -> Subject:
    """Return the pipeline's language model with the threads of this box. Raises ModelError."""
    threads = Threads.choose(settings.box.cores, len(os.sched_getaffinity(0)))
    slm, within_s = settings.pipeline.slm, settings.pipeline.budget.slm_ms / 1000
    return Subject(store.path(slm.model), slm, threads.slm, threads.slm_prefill, within_s, repeats)


def measure(
    settings: Settings, store: Store, names: Sequence[PartName], repeats: int
) -> Iterator[tuple[PartName, Part]]:
    """Yield the parts as they are measured."""
    subject = subject_of(settings, store, repeats)
    for name in names:
        yield name, start.measure(settings, store, repeats) if name is PartName.START else _MEASURED_BY[name](subject)
