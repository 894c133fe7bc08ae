"""The replay contract: every key, its type, and numbers that the recording bears out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.replayed import (
    LONG_REPLY,
    MARK_KEYS,
    SCRIPTED,
    SUMMARY_KEYS,
    WORDS_IN_A_SECOND,
    check_turn,
    clip,
    held,
    is_number,
    reported,
    spoken,
)
from tests.virtual_conversation import (
    FailingModel,
    FailingRecognizer,
    settings,
    stretches,
)
from voicebot.audio import (
    SAMPLE_RATE_HZ,
    Pcm,
    first_audible_sample,
    last_audible_sample,
    ms_from_samples,
    silence,
    voiced_span,
)
from voicebot.config.pipeline import BudgetSettings, PipelineSettings
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer
from voicebot.errors import AudioFileError
from voicebot.events import Interrupted, TurnEnergy, ignore
from voicebot.latency.marks import MARKS
from voicebot.replay import Clip, Conversation, Energies, report


def test_the_object_has_every_key_and_type_of_the_contract() -> None:
    result = reported(spoken(clip("a.wav", 1000), clip("b.wav", 700)))
    assert list(result) == ["schema", "pipeline", "profile", "models", "turns", "summary"]
    assert result["schema"] == 1
    assert (result["pipeline"], result["profile"]) == ("scripted", "voicebot")
    assert result["models"] == dict.fromkeys(["asr", "slm", "tts", "turn"], "scripted")
    assert [turn["file"] for turn in result["turns"]] == ["a.wav", "b.wav"]
    for turn in result["turns"]:
        check_turn(turn)
    summary = result["summary"]
    assert sorted(summary) == sorted(SUMMARY_KEYS)
    assert (summary["turns"], summary["false_cut_ins"], summary["dropped_frames"]) == (2, 0, 0)
    assert (summary["rss_mb"], summary["cpu_seconds"]) == (123.5, 7.89)
    assert sorted(summary["voice_to_voice_ms"]) == sorted(summary["stop_ms"]) == ["max", "p50", "p90", "p95"]
    assert all(map(is_number, summary["voice_to_voice_ms"].values()))
    assert set(summary["stop_ms"].values()) == {None}
    assert set(MARKS) == set(MARK_KEYS)


def test_models_are_named_as_the_pipeline_names_them() -> None:
    conversation = spoken(clip("a.wav", 1000), pipeline=PipelineSettings())
    assert reported(conversation)["models"] == {
        "asr": "whisper-tiny.en",
        "slm": "smollm2-135m-instruct-q4_1",
        "tts": "piper-en_US-joe-medium",
        "turn": "smart-turn-v3.2",
    }


def test_an_answered_turn_says_what_was_said_and_heard() -> None:
    hasty = SCRIPTED.model_copy(update={"budget": BudgetSettings(endpoint_ms=100)})
    (turn,) = reported(spoken(clip("a.wav", 1000), pipeline=hasty))["turns"]
    assert (turn["session"], turn["turn"], turn["revisions"]) == ("replay-1", 1, 1)
    assert turn["user"] == "an utterance of 1 seconds"
    assert turn["reply"] == turn["heard"] == "You said: an utterance of 1 seconds."
    assert (turn["source"], turn["interrupted"], turn["resumed"], turn["error"]) == ("slm", False, False, None)
    assert turn["voice_to_voice_ms"] == turn["marks_ms"]["audible"]
    assert turn["stage_ms"]["endpoint"] == turn["marks_ms"]["committed"]
    assert turn["stage_ms"]["asr"] == pytest.approx(80, abs=1)
    assert turn["stage_ms"]["tts"] == pytest.approx(70, abs=1)
    assert turn["over_budget"] == ["endpoint"]


@pytest.mark.parametrize("tail_ms", [0, 70, 400, 2000])
def test_marks_count_from_the_last_voiced_sample_of_the_clip(tail_ms: int) -> None:
    """And not from its end, nor from where the detector heard it end."""
    (turn,) = reported(spoken(clip("a.wav", 1000, tail_ms=tail_ms)))["turns"]
    marks = turn["marks_ms"]
    assert marks["soft_end"] == pytest.approx(SCRIPTED.speculation.soft_end_ms, abs=40)
    assert marks["committed"] == pytest.approx(SCRIPTED.endpoint.floor_ms, abs=40)
    order = ("soft_end", "asr_final", "slm_first_token", "slm_first_clause", "tts_first_audio", "audible")
    assert [marks[name] for name in order] == sorted(marks[name] for name in order)
    assert marks["committed"] <= marks["audible"]


def recomputed_ms(conversation: Conversation) -> list[float]:
    """Return voice to voice of each clip from what the recording holds and from nothing else."""
    user, reply = conversation.port.recording()
    users, replies = stretches(user, gap_ms=250), stretches(reply, gap_ms=250)
    assert len(users) == len(replies) == len(conversation.spoken)
    found = []
    for (begin, end), (audible, _) in zip(users, replies, strict=True):
        span = voiced_span(user[begin - 320 : end + 320])
        assert span is not None
        found.append(ms_from_samples(audible - (begin - 320 + span[1])))
    return found


def test_voice_to_voice_is_what_the_recording_shows() -> None:
    clips = [clip(f"{number}.wav", 500 + 137 * number, tail_ms=31 * number) for number in range(8)]
    conversation = spoken(*clips)
    turns = reported(conversation)["turns"]
    assert [turn["voice_to_voice_ms"] for turn in turns] == pytest.approx(recomputed_ms(conversation), abs=20)


def test_the_summary_is_of_the_turns() -> None:
    conversation = spoken(*(clip(f"{number}.wav", 500 + 137 * number) for number in range(5)))
    result = reported(conversation)
    values = sorted(turn["voice_to_voice_ms"] for turn in result["turns"])
    assert result["summary"]["voice_to_voice_ms"] == {
        "p50": values[2],
        "p90": values[4],
        "p95": values[4],
        "max": values[4],
    }


def test_the_next_clip_begins_a_second_after_the_reply_has_ended() -> None:
    conversation = spoken(clip("a.wav", 1000), clip("b.wav", 1000))
    _, reply = conversation.port.recording()
    ended = stretches(reply)[0][1]
    assert ms_from_samples(conversation.spoken[1].start_sample - ended) == pytest.approx(1000, abs=40)


def test_a_clip_that_led_to_no_turn_has_an_entry_with_an_error_in_its_place() -> None:
    clips = [clip(f"{name}.wav", duration_ms) for name, duration_ms in (("a", 1500), ("b", 500), ("c", 1500))]
    result = reported(spoken(*clips, asr=WORDS_IN_A_SECOND))
    assert [turn["file"] for turn in result["turns"]] == ["a.wav", "b.wav", "c.wav"]
    unanswered = result["turns"][1]
    check_turn(unanswered)
    assert unanswered["error"] == "no words were heard in this clip."
    assert (unanswered["user"], unanswered["reply"], unanswered["heard"]) == ("", "", "")
    assert unanswered["voice_to_voice_ms"] is None
    assert set(unanswered["marks_ms"].values()) == {None}
    assert unanswered["stage_ms"] == {}
    assert result["summary"]["turns"] == 3
    assert [turn["error"] for turn in result["turns"][::2]] == [None, None]


def test_when_no_clip_is_answered_the_summary_has_nulls() -> None:
    result = reported(spoken(clip("a.wav", 800), asr=ScriptedRecognizer(lambda _: "")))
    assert set(result["summary"]["voice_to_voice_ms"].values()) == {None}
    assert result["summary"]["turns"] == 1


def test_the_same_file_twice_is_two_turns() -> None:
    twice = clip("a.wav", 800)
    result = reported(spoken(twice, twice))
    assert [(turn["file"], turn["turn"]) for turn in result["turns"]] == [("a.wav", 1), ("a.wav", 2)]
    assert all(turn["error"] is None for turn in result["turns"])


def test_a_failed_turn_has_its_error_and_no_voice_to_voice() -> None:
    result = reported(spoken(clip("a.wav", 800), clip("b.wav", 800), slm=FailingModel()))
    failed, answered = result["turns"]
    check_turn(failed)
    assert failed["error"] == "the language model failed."
    assert failed["voice_to_voice_ms"] is None  # the apology is not the reply's own content
    assert failed["marks_ms"]["audible"] is not None
    assert failed["marks_ms"]["slm_first_token"] is None
    assert "slm" not in failed["stage_ms"]
    assert answered["error"] is None
    assert result["summary"]["voice_to_voice_ms"]["max"] == answered["voice_to_voice_ms"]


def test_a_recogniser_that_failed_leaves_a_turn_without_words() -> None:
    (turn,) = reported(spoken(clip("a.wav", 800), asr=FailingRecognizer(failures=99)))["turns"]
    check_turn(turn)
    assert (turn["user"], turn["error"]) == ("", "the recogniser failed.")


def test_several_revisions_are_one_turn() -> None:
    unfinished = ScriptedModel(finished=lambda _: 0.0)
    (turn,) = reported(spoken(clip("a.wav", 800, 300, 800), slm=unfinished))["turns"]
    assert turn["revisions"] == 2
    assert turn["user"] == "an utterance of 2 seconds"
    assert turn["voice_to_voice_ms"] > 0


def test_each_conversation_counts_its_own_turns() -> None:
    conversations = [spoken(clip("a.wav", 800)), spoken(clip("b.wav", 800), clip("c.wav", 800))]
    result = reported(*conversations)
    assert [(turn["file"], turn["turn"]) for turn in result["turns"]] == [("a.wav", 1), ("b.wav", 1), ("c.wav", 2)]
    assert result["summary"]["turns"] == 3


def test_a_reply_without_end_is_stopped_after_a_while() -> None:
    pipeline = settings(slm={"engine": "scripted", "max_tokens": 4000})
    endless = ScriptedModel(lambda _: "This is one more sentence of it. " * 500)
    conversation = spoken(clip("a.wav", 800), clip("b.wav", 800), pipeline=pipeline, slm=endless)
    assert [turn["interrupted"] for turn in reported(conversation)["turns"]] == [True, True]


def test_the_recording_holds_both_sides_on_one_timeline() -> None:
    conversation = spoken(clip("a.wav", 800))
    user, reply = conversation.port.recording()
    assert len(user) == len(reply)
    assert first_audible_sample(user) == pytest.approx(conversation.spoken[0].speech_start_sample(), abs=5)
    assert last_audible_sample(user) == pytest.approx(conversation.spoken[0].speech_end_sample, abs=5)
    (turn,) = conversation.ended
    assert first_audible_sample(reply) == turn.marks["audible"]


def test_wasted_work_is_of_all_conversations_together() -> None:
    conversations = [spoken(clip("a.wav", 800)), spoken(clip("b.wav", 800))]
    assert reported(*conversations)["summary"]["wasted_cpu_share"] is None  # scripted engines take no time
    conversations[0].work.cpu_s, conversations[0].work.wasted_cpu_s = 3.0, 0.5
    conversations[1].work.cpu_s, conversations[1].work.wasted_cpu_s = 1.0, 0.5
    assert reported(*conversations)["summary"]["wasted_cpu_share"] == 0.25


def test_an_interruption_by_nobody_is_timed_from_where_it_was_heard() -> None:
    conversation = spoken(clip("a.wav", 800), slm=ScriptedModel(lambda _: LONG_REPLY))
    heard = conversation.ended[0].marks["audible"] + SAMPLE_RATE_HZ
    event = Interrupted("replay-1", 1, heard, heard + 160, heard + 480, heard + 320)
    assert conversation.speakers(event) == []
    conversation.interruptions[1] = event
    (turn,) = reported(conversation)["turns"]
    assert [turn[step] for step in ("duck_ms", "pause_ms", "confirm_ms")] == [10, 20, 30]


def test_a_slow_stage_is_over_budget_in_the_report() -> None:
    (turn,) = reported(spoken(clip("a.wav", 800), asr=ScriptedRecognizer(pace=Pace(900))))["turns"]
    assert turn["over_budget"] == ["endpoint", "asr", "total"]


@pytest.mark.parametrize("pcm", [silence(16_000), silence(0)])
def test_digital_silence_is_no_clip(pcm: Pcm) -> None:
    with pytest.raises(AudioFileError, match=r"^quiet\.wav: the file holds only digital silence; nothing can be said"):
        Clip.of(Path("quiet.wav"), pcm)


def test_a_script_that_fails_ends_the_session() -> None:
    async def script(conversation: Conversation) -> None:
        conversation.say(clip("a.wav", 800))
        await conversation.speaking.wait()
        raise ValueError("the script failed")

    with pytest.raises(ExceptionGroup) as caught:
        held(script)
    assert caught.group_contains(ValueError, match="the script failed")


def test_names_of_clips_are_kept_as_given() -> None:
    files: Sequence[str] = ["/tmp/ä b.wav", "x/../y.wav"]  # noqa: S108 - nothing is written there
    result = reported(spoken(*(clip(name, 600) for name in files)))
    assert [turn["file"] for turn in result["turns"]] == files


def test_a_turns_energy_is_told_where_it_is_known() -> None:
    conversation = spoken(clip("a.wav", 1000), clip("b.wav", 700))
    energies = Energies(ignore)
    for turn in conversation.ended:
        energies(turn)
    energies(TurnEnergy("replay-1", 2, 3.14159, measured=True))
    energies(TurnEnergy("another", 1, 1.0, measured=True))
    result = report(
        conversation.settings, [conversation], rss_mb=1.0, cpu_seconds=1.0, energies=energies.told, idle_w=1.456
    )
    told = [(turn["energy_j"], turn["energy_measured"]) for turn in result["turns"]]
    assert told == [(None, False), (3.14, True)]
    assert result["summary"]["idle_w"] == 1.46
