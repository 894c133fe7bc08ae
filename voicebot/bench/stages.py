"""Each stage alone, on a machine that does nothing else: what the whole is made of."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import numpy as np

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import workers
from voicebot.engines.protocols import Message
from voicebot.engines.silero import SileroDetector
from voicebot.engines.webrtc_gate import WebRtcGate
from voicebot.events import ignore
from voicebot.latency.percentiles import summary
from voicebot.models.store import Store
from voicebot.workers.stages import WorkerAsr, WorkerSlm, WorkerTts, WorkerTurn

_QUESTIONS: Final = (
    "What is the capital of France?",
    "How many legs does a spider have?",
    "How do I boil an egg?",
    "Tell me a fun fact about the moon.",
)
_CLAUSES: Final = (
    "Okay.",
    "The capital of France is Paris.",
    "A spider has eight legs.",
    "To boil an egg, put it into a pot of cold water, and heat it until it boils.",
)


async def measure_stages(settings: Settings, store: Store, clips: Sequence[Pcm], repeats: int) -> dict[str, Any]:
    """Return the times of every stage in milliseconds, as percentiles over clips and repeats.

    Raises UsageError for stages of another machine.
    """
    settings.pipeline.need_own_stages()
    async with workers(settings, store, LoopClock(), ignore) as running:
        times: dict[str, Any] = {
            "vad": _vad(settings, clips),
            "asr": await _asr(WorkerAsr(running["asr"]), clips, repeats),
        }
        if "turn" in running:
            judge = WorkerTurn(running["turn"]).judge
            times["turn"] = {"judge_ms": summary(await _times_ms(judge, clips, repeats))}
        times["slm"] = await _slm(WorkerSlm(running["slm"]), settings, repeats)
        times["tts"] = await _tts(WorkerTts(running["tts"]), repeats)
        return times


def _vad(settings: Settings, clips: Sequence[Pcm]) -> dict[str, Any]:
    endpoint = settings.pipeline.endpoint
    gate, detector = WebRtcGate(endpoint.gate_aggressiveness, endpoint.gate_floor_dbfs), SileroDetector()
    audio = np.concatenate(clips)
    gate_ms = [_timed(gate.opens, audio[at : at + FRAME_SAMPLES]) for at in _starts(audio, FRAME_SAMPLES)]
    size = detector.chunk_samples
    detector_ms = [_timed(detector.probability, audio[at : at + size]) for at in _starts(audio, size)]
    return {"gate_ms_per_frame": _fine(gate_ms), "silero_ms_per_chunk": _fine(detector_ms)}


async def _asr(asr: WorkerAsr, clips: Sequence[Pcm], repeats: int) -> dict[str, Any]:
    times_ms = await _times_ms(asr.transcribe, clips, repeats)
    seconds = sum(map(len, clips)) * repeats / SAMPLE_RATE_HZ
    return {"final_ms": summary(times_ms), "real_time_factor": round(sum(times_ms) / 1000 / seconds, 3)}


async def _slm(slm: WorkerSlm, settings: Settings, repeats: int) -> dict[str, Any]:
    system = Message("system", settings.pipeline.slm.system_prompt)
    first_ms, rates = [], []
    for _ in range(repeats):
        for question in _QUESTIONS:
            await slm.prefill((system,))
            asked = (system, Message("user", question))
            pieces, first, last = await _timed_stream(slm.generate(asked, settings.pipeline.slm.max_tokens))
            first_ms.append(first)
            if pieces > 1:
                rates.append((pieces - 1) / (last - first) * 1000)
    return {"first_token_ms": summary(first_ms), "tokens_per_s": summary(rates)}


async def _tts(tts: WorkerTts, repeats: int) -> dict[str, Any]:
    first_ms: list[float] = []
    spent_s = audio_s = 0.0
    for _ in range(repeats):
        for clause in _CLAUSES:
            began_s = time.perf_counter()
            first = None
            async with aclosing(tts.synthesize(clause, first=True)) as stream:
                async for speech in stream:
                    first = first or (time.perf_counter() - began_s) * 1000
                    audio_s += len(speech.pcm) / SAMPLE_RATE_HZ
            spent_s += time.perf_counter() - began_s
            first_ms.append(first or 0.0)
    return {"first_audio_ms": summary(first_ms), "real_time_factor": round(spent_s / audio_s, 3)}


async def _times_ms(ask: Callable[[Pcm], Awaitable[object]], clips: Sequence[Pcm], repeats: int) -> list[float]:
    """Return how long each answer about each clip took."""
    times_ms: list[float] = []
    for _ in range(repeats):
        for pcm in clips:
            began_s = time.perf_counter()
            await ask(pcm)
            times_ms.append((time.perf_counter() - began_s) * 1000)
    return times_ms


async def _timed_stream(stream: AsyncGenerator[str, None]) -> tuple[int, float, float]:
    """Return how many pieces came, and when the first and the last did, in milliseconds."""
    began_s = time.perf_counter()
    moments_ms = []
    async with aclosing(stream):
        async for _ in stream:
            moments_ms.append((time.perf_counter() - began_s) * 1000)  # noqa: PERF401 - aclosing holds the generator
    return len(moments_ms), moments_ms[0], moments_ms[-1]


def _timed(work: Any, pcm: Pcm) -> float:  # noqa: ANN401 - any function of audio
    began_s = time.perf_counter()
    work(pcm)
    return (time.perf_counter() - began_s) * 1000


def _starts(audio: Pcm, size: int) -> range:
    return range(0, len(audio) - size + 1, size)


def _fine(values_ms: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values_ms)
    return {"p50": round(ordered[len(ordered) // 2], 4), "p95": round(ordered[int(len(ordered) * 0.95)], 4)}


def default_clips() -> Path:
    """Return the folder of questions in a checkout of the project."""
    return Path("fixtures/questions")
