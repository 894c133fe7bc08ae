"""Which engine belongs to a name. An engine's library is imported when it is chosen, and not before."""

from __future__ import annotations

from pathlib import Path

from voicebot.config.pipeline import AsrSettings, SlmSettings, TtsSettings, TurnModelSettings
from voicebot.config.wake import WakeSettings
from voicebot.engines.protocols import Alarm, LanguageModel, Recognizer, Synthesizer, TurnModel, WakeWord
from voicebot.engines.scripted import (
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedSessions,
    ScriptedSynthesizer,
    ScriptedTurn,
)


def load_recognizer(settings: AsrSettings, model: Path, threads: int, second_model: Path | None = None) -> Recognizer:
    """Load the recogniser that the settings name. Raises EngineError. `second_model`: looks at doubtful words again."""
    if settings.engine == "scripted":
        return ScriptedRecognizer()
    from voicebot.engines.whisper import FasterWhisper  # noqa: PLC0415

    return FasterWhisper(model, settings, threads, second_model)


def load_language_model(
    settings: SlmSettings,
    model: Path,
    threads: int,
    prefill_threads: int,
    cache: Path,
    alarm: Alarm,
    draft_model: Path | None = None,
) -> LanguageModel:
    """Load the language model that the settings name. Raises EngineError.

    `cache`: where it may keep what need not be computed again. `alarm` is raised after any cancel. `draft_model`:
    guesses for it.
    """
    if settings.engine == "scripted":
        return ScriptedSessions(ScriptedModel())
    from voicebot.engines.llama.engine import LlamaEngine  # noqa: PLC0415

    return LlamaEngine(model, settings, threads, prefill_threads, cache, alarm, draft_model)


def load_synthesizer(settings: TtsSettings, model: Path, threads: int) -> Synthesizer:
    """Load the synthesizer that the settings name. Raises EngineError."""
    if settings.engine == "scripted":
        return ScriptedSynthesizer()
    from voicebot.engines.piper import PiperEngine  # noqa: PLC0415

    return PiperEngine(model, settings, threads)


def load_turn_model(settings: TurnModelSettings, model: Path, threads: int) -> TurnModel:
    """Load the end-of-turn model that the settings name. Raises EngineError."""
    if settings.engine == "scripted":
        return ScriptedTurn()
    from voicebot.engines.smart_turn import SmartTurn  # noqa: PLC0415

    return SmartTurn(model, threads)


def load_wake_word(settings: WakeSettings) -> WakeWord:
    """Load one stream's detector of the wake word that the settings name. Raises EngineError."""
    from voicebot.engines.wake_word import MicroWakeWordDetector  # noqa: PLC0415

    return MicroWakeWordDetector(settings)
