"""Pauses are put between words, and who is cut in on in one is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from voicebot.audio import Pcm, samples_from_ms, silence
from voicebot.bench.pauses import Attempt, PausedClip, as_report, attempt, paused_clips
from voicebot.bench.word_times import WordBoundary
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import load_settings
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Transcript
from voicebot.engines.scripted import ScriptedModel, ScriptedRecognizer, hum
from voicebot.events import ignore
from voicebot.replay import Clip

PARTS = (hum(6400), hum(1600) // 50, hum(8000), hum(1600) // 50, hum(9600))
CLIP = Clip.of(Path("three.wav"), np.concatenate(PARTS))
FIRST, SECOND = WordBoundary(7200, " One", " two,"), WordBoundary(16_800, " two,", " three.")


class KnowingAsr:
    """Knows the words of the clip."""

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        del pcm, thorough
        return Transcript("One, two, three.", -0.1, 0.0, 1.0, fallback=False)


def made(boundaries: list[WordBoundary], count: int, seed: int = 1) -> list[Clip]:
    return [one.clip for one in asyncio.run(paused_clips(KnowingAsr(), [CLIP], [boundaries], count, seed))]


def test_pauses_are_at_word_boundaries_and_of_the_lengths_asked_for() -> None:
    clips = made([FIRST, SECOND], 40)
    assert len(clips) == 40
    assert {clip.says for clip in clips} == {"one two three"}
    extra_ms = [(len(clip.pcm) - len(CLIP.pcm)) / 16 for clip in clips]
    assert 400 <= min(extra_ms) < 600
    assert 1300 < max(extra_ms) <= 1500
    assert len({clip.file.name.split("-for-")[0] for clip in clips}) == 2


def test_beside_the_ends_of_the_speech_is_no_place_for_a_pause() -> None:
    assert made([WordBoundary(2000, " One", " two,")], 3) == []
    assert made([], 3) == []


def test_the_same_seed_makes_the_same_clips() -> None:
    names = [[clip.file.name for clip in made([FIRST, SECOND], 5, seed)] for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def tried(clip: Clip, end_probability: float) -> Attempt:
    """Say a clip to scripted engines that find its first part as finished as given."""
    recognizer = ScriptedRecognizer(lambda pcm: "one two three" if len(pcm) > samples_from_ms(1900) else "one")
    model = ScriptedModel(finished=lambda messages: 1.0 if messages[-1].content.endswith("three") else end_probability)
    clock = LoopClock()
    stages = scripted_stages(clock, recognizer, model)
    return run_virtual(attempt(PausedClip(clip, FIRST), "pause-1", load_settings("scripted"), stages, clock, ignore))


def test_who_is_waited_for_is_answered_whole() -> None:
    clip = Clip.of(CLIP.file, CLIP.pcm, "one two three")
    answered = tried(clip, 0.0)
    assert not answered.cut_in
    assert answered.whole
    assert answered.voice_to_voice_ms is not None
    assert 0 < answered.voice_to_voice_ms < 2500


def test_a_reply_in_the_pause_is_a_false_cut_in() -> None:
    paused = np.concatenate((hum(9600), silence(samples_from_ms(2500)), hum(16_000)))
    attempts = [tried(Clip.of(Path("paused.wav"), paused, "one two three"), 1.0)]
    report = as_report(attempts)
    assert (report["pauses"], report["false_cut_ins"], report["false_cut_in_share"]) == (1, 1, 1.0)
    assert report["voice_to_voice_ms"]["p50"] is None
    assert (report["between_sentences"], report["false_cut_ins_between_sentences"]) == (0, 0)
    assert report["cut_in_on"][0]["file"] == "paused.wav"
    assert report["cut_in_on"][0]["pause"] == "One ... two,"
    assert report["cut_in_on"][0]["turns"][0] == "one"


def test_a_pause_after_a_full_stop_is_between_sentences() -> None:
    assert PausedClip(CLIP, WordBoundary(0, " number. ", " Please")).ends_sentence
    assert not PausedClip(CLIP, FIRST).ends_sentence


def test_no_attempts_are_no_figures() -> None:
    assert as_report([])["false_cut_in_share"] == 0
