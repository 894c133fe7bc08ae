"""`voicebot replay`: the report alone on standard output, the recordings where they were asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from voicebot.audio import first_audible_sample, last_audible_sample, ms_from_samples, silence
from voicebot.audio_io.wav import read_wav, write_wav
from voicebot.engines.scripted import hum

if TYPE_CHECKING:
    from tests.cli.conftest import Run

FIXTURES = Path(__file__).parents[2] / "fixtures"
QUESTION = FIXTURES / "conversation/01-capital-of-france.wav"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder with two clips, of one and two seconds, and something else."""
    folder = tmp_path / "clips"
    folder.mkdir()
    write_wav(folder / "b.wav", np.concatenate((silence(4000), hum(16_000), silence(4000))))
    write_wav(folder / "a.wav", np.concatenate((silence(4000), hum(32_000), silence(4000))))
    (folder / "notes.txt").write_text("not spoken")
    return folder


def test_a_folder_is_one_conversation_in_the_order_of_names(run: Run, clips: Path) -> None:
    result = run("replay", "--pipeline", "scripted", clips, "--json").json()
    assert (result["schema"], result["pipeline"], result["profile"]) == (1, "scripted", "voicebot")
    assert [(Path(turn["file"]).name, turn["session"], turn["turn"]) for turn in result["turns"]] == [
        ("a.wav", "replay-1", 1),
        ("b.wav", "replay-1", 2),
    ]
    assert [turn["user"] for turn in result["turns"]] == ["an utterance of 2 seconds", "an utterance of 1 seconds"]
    assert result["summary"]["turns"] == 2
    assert result["summary"]["rss_mb"] > 10


def test_fresh_is_a_session_for_each_file(run: Run, clips: Path) -> None:
    result = run("replay", "--pipeline", "scripted", "--fresh", clips / "b.wav", clips, "--json").json()
    assert [(turn["session"], turn["turn"]) for turn in result["turns"]] == [
        ("replay-1", 1),
        ("replay-2", 1),
        ("replay-3", 1),
    ]


def test_max_tokens_cuts_the_reply(run: Run, clips: Path) -> None:
    result = run(
        "replay", "--pipeline", "scripted", "--max-tokens", 2, "--no-openers", clips / "b.wav", "--json"
    ).json()
    assert result["turns"][0]["reply"] == "You."


def test_out_holds_what_one_would_have_heard(run: Run, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "heard"
    result = run("replay", "--pipeline", "scripted", "--fresh", clips, "--out", out, "--json").json()
    assert sorted(path.name for path in out.iterdir()) == ["replay-1.wav", "replay-2.wav"]
    for turn in result["turns"]:
        samples, rate_hz = soundfile.read(out / f"{turn['session']}.wav", dtype="int16")
        assert (rate_hz, samples.shape[1]) == (16_000, 2)
        user, reply = samples.T
        last_voiced, audible = last_audible_sample(user), first_audible_sample(reply)
        assert last_voiced is not None
        assert audible is not None
        assert ms_from_samples(audible - last_voiced) == pytest.approx(turn["voice_to_voice_ms"], abs=20)


def test_people_see_the_conversation_and_where_the_time_went(run: Run, clips: Path) -> None:
    done = run("replay", "--pipeline", "scripted", clips)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "you  an utterance of 2 seconds"
    assert lines[1].startswith("bot  You said: an utterance of 2 seconds. (")
    for row in ("endpoint", "asr", "slm", "tts", "voice to voice"):
        assert any(line.startswith(row) for line in lines)
    assert any(line.startswith("2 turns, 0 false cut-ins") for line in lines)


def test_a_clip_without_an_answer_is_reported_and_no_failure(run: Run, tmp_path: Path) -> None:
    """40 ms of sound are no speech, so that no turn opens."""
    write_wav(tmp_path / "click.wav", np.concatenate((silence(4000), hum(640), silence(4000))))
    result = run("replay", "--pipeline", "scripted", "click.wav", "--json").json()
    (turn,) = result["turns"]
    assert turn["error"] is not None
    assert turn["voice_to_voice_ms"] is None
    assert run("replay", "--pipeline", "scripted", "click.wav").code == 0


def test_realtime_takes_as_long_as_the_conversation(run: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "short.wav", hum(4800))
    virtual = run("replay", "--pipeline", "scripted", "--max-tokens", 1, "short.wav", "--json").json()
    real = run("replay", "--pipeline", "scripted", "--max-tokens", 1, "short.wav", "--json", "--realtime").json()
    assert [turn["reply"] for turn in real["turns"]] == [turn["reply"] for turn in virtual["turns"]]
    assert real["turns"][0]["voice_to_voice_ms"] >= virtual["turns"][0]["voice_to_voice_ms"] - 20


def test_a_question_is_answered_by_the_real_models(run: Run, tmp_path: Path) -> None:
    done = run("replay", QUESTION, "--max-tokens", 12, "--out", "heard", "--json")
    result = done.json()
    (turn,) = result["turns"]
    assert turn["error"] is None
    assert "capital of france" in turn["user"].lower()
    assert turn["heard"] == turn["reply"] != ""
    assert 0 < turn["voice_to_voice_ms"] < 30_000
    assert set(turn["stage_ms"]) == {"endpoint", "asr", "slm", "tts"}
    assert result["models"]["asr"] == "whisper-tiny.en"
    assert result["summary"]["rss_mb"] > 100
    assert result["summary"]["cpu_seconds"] > 0
    samples, _ = soundfile.read(tmp_path / "heard/replay-1.wav", dtype="int16")
    assert json.loads(done.out) == result
    assert np.abs(samples[:, 1]).max() > 1000


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """Return a scenario that comes out as it expects, for a scripted pipeline."""
    write_wav(tmp_path / "jfk.wav", read_wav(FIXTURES / "human/jfk.wav")[:37_000])
    file = tmp_path / "speech.toml"
    file.write_text(
        """
        about = "The beginning of a speech."
        [[clip]]
        file = "jfk.wav"
        says = "And so, my fellow Americans."
        at_s = 1
        [expect]
        turns = 1
        replies = 1
        [[expect.turn]]
        user = "And so my fellow Americans"
        """
    )
    return file


def test_a_scenario_is_a_conversation_of_its_own_and_says_whether_it_came_out(
    run: Run, scenario: Path, clips: Path, tmp_path: Path
) -> None:
    result = run("replay", "--pipeline", "scripted", clips, scenario, "--out", "heard", "--json").json()
    assert result["scenarios"] == [
        {"file": str(scenario), "session": "replay-2-speech", "met": True, "missed": [], "wer": 0.0},
    ]
    assert [turn["session"] for turn in result["turns"]] == ["replay-1", "replay-1", "replay-2-speech"]
    assert sorted(path.name for path in (tmp_path / "heard").iterdir()) == ["replay-1.wav", "replay-2-speech.wav"]


def test_a_scenario_that_does_not_come_out_is_an_error(run: Run, scenario: Path) -> None:
    scenario.write_text(scenario.read_text().replace("turns = 1", "turns = 2"))
    done = run("replay", "--pipeline", "scripted", scenario, "--json")
    assert done.code == 1
    assert done.err == "voicebot: 1 of 1 scenarios did not come out as expected: speech.\n"
    assert json.loads(done.out)["scenarios"][0]["missed"] == ["turns: 2 expected, 1 found"]
    shown = run("replay", "--pipeline", "scripted", scenario).out.splitlines()
    assert shown[-2:] == [f"missed {scenario}", "       turns: 2 expected, 1 found"]


def test_a_scenario_with_mistakes_is_not_begun(run: Run, scenario: Path) -> None:
    scenario.write_text(scenario.read_text().replace("turns = 1", "turms = 1").replace("at_s = 1", "at_s = -1"))
    run("replay", "--pipeline", "scripted", scenario).failed(
        2,
        f"{scenario}: clip.0.at_s: should be greater than or equal to 0\n"
        f"{scenario}: expect.turms: there is no such setting (did you mean 'turns'?)",
    )


def test_a_folder_may_hold_both(run: Run, scenario: Path) -> None:
    result = run("replay", "--pipeline", "scripted", scenario.parent, "--json").json()
    assert [turn["session"] for turn in result["turns"]] == ["replay-1", "replay-2-speech"]


def test_how_long_a_scenario_lasts_can_be_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "quiet.toml").write_text("about = 'nobody'\nduration_s = 2\n[expect]\nturns = 0")
    run("replay", "--pipeline", "scripted", "quiet.toml", "--duration-s", 5, "--out", "heard", "--json").json()
    assert soundfile.info(tmp_path / "heard/replay-1-quiet.wav").duration == pytest.approx(5.2, abs=0.1)
