"""Clauses to speech with Piper: a fixed gain, onnxruntime told not to spin, and a run that can be stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    RuntimeException,
)
from piper.config import PiperConfig, SynthesisConfig
from piper.voice import PiperVoice

from voicebot.audio import Pcm, first_audible_sample, samples_from_ms
from voicebot.audio_io.wav import resample, to_int16
from voicebot.config.pipeline import TtsSettings
from voicebot.engines.protocols import Cancel
from voicebot.errors import CancelledWorkError, EngineError

_CANCEL_POLL_S: Final = 0.01
_RUN_ERRORS: Final = (Fail, InvalidArgument, RuntimeException, RuntimeError, ValueError)
_LOAD_ERRORS: Final = (*_RUN_ERRORS, InvalidGraph, InvalidProtobuf, NoSuchFile)


class PiperEngine:
    """A loaded Piper voice. Raises EngineError when its files don't load."""

    def __init__(self, model: Path, settings: TtsSettings, threads: int) -> None:
        self._settings = settings
        config = _load_config(Path(f"{model}.json"))
        self._session = _StoppableSession(model, threads)
        self._voice = PiperVoice(session=self._session, config=config)
        if settings.speaker >= config.num_speakers:
            raise EngineError(f"{model.name} has {config.num_speakers} speakers; tts.speaker must be below that.")
        # Normalising would scale each clause to its own peak, and the voice would jump in loudness.
        self._synthesis = SynthesisConfig(
            speaker_id=settings.speaker,
            length_scale=config.length_scale / settings.speed,
            noise_scale=settings.noise,
            noise_w_scale=settings.rhythm_noise,
            normalize_audio=False,
            volume=settings.gain,
        )

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Pcm]:
        """Yield one array for each sentence in the clause; 16 kHz mono int16."""
        self._session.cancel = cancel
        try:
            for chunk in self._voice.synthesize(text, self._synthesis):
                cancel.raise_if_requested()
                pcm = to_int16(resample(np.asarray(chunk.audio_float_array, np.float32), chunk.sample_rate))
                yield self._trimmed(pcm) if first else pcm
                first = False
        except _RUN_ERRORS as error:
            if cancel.requested():
                raise CancelledWorkError("speech synthesis was stopped on request.") from error
            raise EngineError(f"speech synthesis failed ({error}).") from error

    def _trimmed(self, pcm: Pcm) -> Pcm:
        """Cut the near-silence in front: Piper begins with 40 to 350 ms of it, all of which the user would wait."""
        start = first_audible_sample(pcm)
        kept = samples_from_ms(self._settings.lead_silence_ms)
        return pcm if start is None else pcm[max(0, start - kept) :]


class _StoppableSession:
    """An onnxruntime session whose run ends within one node of a cancel.

    onnxruntime looks at a flag of its run options before each node; a thread sets it, since the running one is inside
    the native call. It sleeps unless a run is under way.
    """

    def __init__(self, model: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the stage that needs them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise EngineError(f"onnxruntime can't load {model} ({error}).") from error
        self.cancel: Cancel | None = None
        self._running: onnxruntime.RunOptions | None = None
        self._wake = threading.Event()
        threading.Thread(target=self._watch, name="piper-cancel", daemon=True).start()

    def run(self, names: list[str] | None, inputs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Run the graph; raises onnxruntime's Fail when stopped."""
        options = onnxruntime.RunOptions()
        self._running = options
        self._wake.set()
        try:
            return self._session.run(names, inputs, options)
        finally:
            self._running = None
            self._wake.clear()

    def _watch(self) -> None:
        pause = threading.Event()
        while self._wake.wait():
            running, cancel = self._running, self.cancel
            if running is not None and cancel is not None and cancel.requested():
                running.terminate = True
            pause.wait(_CANCEL_POLL_S)


def _load_config(path: Path) -> PiperConfig:
    try:
        return PiperConfig.from_dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{path} is no Piper voice configuration ({error}).") from error
