"""Scenario files: what is wrong is said at once, with file and key; what is right sounds as it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import Frame, level_dbfs
from voicebot.audio_io.acoustics import active_speech_dbfs
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import load_settings
from voicebot.errors import ConfigError
from voicebot.replay import Scenario, load_scenarios

Write = Callable[[str], Path]
CLIP = "[[clip]]\nfile = 'hum.wav'\nat_s = 1\n"


def loaded(file: Path) -> Scenario:
    (scenario,) = load_scenarios([file])
    return scenario


def problems(*files: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_scenarios(files)
    return str(caught.value).splitlines()


def test_everything_wrong_in_all_files_is_said_at_once(write: Write, tmp_path: Path) -> None:
    file = write("[[clip]]\nfille = 'hum.wav'\nat_s = -1\n[echo]\ndelay_ms = 80\n[expect]\nturn = 1\nreplys = 1")
    missing = tmp_path / "missing.toml"
    assert problems(file, missing) == [
        f"{file}: clip.0.file: Field required",
        f"{file}: clip.0.at_s: should be greater than or equal to 0",
        f"{file}: clip.0.fille: there is no such setting (did you mean 'file'?)",
        f"{file}: echo.gain_db: Field required",
        f"{file}: expect.turn: should be a valid list",
        f"{file}: expect.replys: there is no such setting (did you mean 'replies'?)",
        f"{missing}: there is no such settings file.",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "duration_s: a scenario without clips needs it"),
        ("[[clip]]\nfile = 'hum.wav'", "clip.0: needs either at_s or after"),
        (f"{CLIP}after = 'reply starts'", "clip.0: needs either at_s or after"),
        (f"{CLIP}delay_s = 1", "clip.0: delay_s belongs to after; add it to at_s"),
        (f"{CLIP}repeat = 3", "clip.0: what is repeated from at_s on needs every_s"),
        (f"{CLIP}gain_db = 1\nlevel_dbfs = -20", "clip.0: has both gain_db and level_dbfs; keep one"),
        (f"{CLIP}repeat = 0\nevery_s = 1", "clip.0.repeat: 0 needs duration_s"),
        ("[[clip]]\nfile = 'hum.wav'\nafter = 'reply starts'", "clip.0.after: nothing comes before the first clip"),
        (f"{CLIP}[noise]\nkind = 'white'", "noise: needs either snr_db or level_dbfs"),
        (f"{CLIP}[noise]\nkind = 'babble'\nsnr_db = 10", "noise: clips are who babbles; babble needs them"),
        ("duration_s = 1\n[noise]\nkind = 'white'\nsnr_db = 10", "noise.snr_db: there are no clips to measure it by"),
        (f"{CLIP}[pipeline.tts]\nspeed = 2.0", "pipeline.tts: all scenarios share the models"),
        (f"{CLIP}[pipeline.slm]\nseed = 2", "pipeline.slm.seed: all scenarios share the models"),
        (f"{CLIP}[pipeline.slm]\nmax_token = 2", "pipeline.slm.max_token: there is no such setting (did you mean"),
        ("[[clip]]\nfile = 'none.wav'\nat_s = 1", "clip.0.file: {folder}/none.wav: there is no such file"),
        (f"{CLIP}[noise]\nkind='babble'\nsnr_db=1\nclips=['x.wav']", "noise.clips.0: {folder}/x.wav: there is no such"),
    ],
)
def test_what_contradicts_itself_is_said_with_its_key(write: Write, text: str, problem: str) -> None:
    file = write(text)
    (found,) = problems(file)
    assert found.startswith(f"{file}: {problem.format(folder=file.parent)}")


def test_a_clip_is_as_loud_as_it_is_to_be(write: Write) -> None:
    again = CLIP.replace("at_s = 1", "at_s = 3")
    scenario = loaded(write(f"{CLIP}{again}gain_db = -12\n{again}level_dbfs = -40"))
    as_it_is, quieter, far = (cue.clip.pcm for cue in scenario.cues)
    assert level_dbfs(quieter) == pytest.approx(level_dbfs(as_it_is) - 12, abs=0.1)
    assert active_speech_dbfs(far) == pytest.approx(-40, abs=0.2)


def test_noise_is_measured_by_the_speech(write: Write) -> None:
    scenario = loaded(write(f"{CLIP}[noise]\nkind = 'white'\nsnr_db = 10"))
    assert scenario.noise is not None
    assert level_dbfs(scenario.noise) == pytest.approx(active_speech_dbfs(scenario.cues[0].clip.pcm) - 10, abs=0.2)


def test_a_folder_babbles_as_well_as_a_file(write: Write) -> None:
    for place in (".", "hum.wav"):
        scenario = loaded(write(f"{CLIP}[noise]\nkind = 'babble'\nlevel_dbfs = -30\nclips = ['{place}']"))
        assert scenario.noise is not None
        assert level_dbfs(scenario.noise) == pytest.approx(-30, abs=0.2)


def test_what_it_changes_is_laid_over_the_pipeline(write: Write) -> None:
    base = load_settings("scripted")
    pipeline = loaded(write(f"{CLIP}[pipeline.slm]\nmax_tokens = 7")).settings(base).pipeline
    assert pipeline.slm == base.pipeline.slm.model_copy(update={"max_tokens": 7})
    assert pipeline.asr == base.pipeline.asr


def test_what_does_not_go_with_the_pipeline_is_said(write: Write) -> None:
    scenario = loaded(write(f"{CLIP}[pipeline.endpoint]\nspeech_probability = 0.4"))
    base = load_settings("scripted")
    endpoint = base.pipeline.endpoint.model_copy(update={"speech_probability": 0.9, "silence_probability": 0.8})
    stricter = base.with_pipeline(base.pipeline.model_copy(update={"endpoint": endpoint}))
    with pytest.raises(ConfigError, match=r"scenario\.toml: pipeline: does not go with scripted: endpoint"):
        scenario.settings(stricter)
    assert scenario.settings(base).pipeline.endpoint.speech_probability == 0.4


def test_the_room_is_in_the_microphone(write: Write) -> None:
    scenario = loaded(write(f"{CLIP}[echo]\ndelay_ms = 0\ngain_db = 0\nroom_ms = 0"))

    async def main() -> Frame | None:
        async with scenario.port(LoopClock()) as port:
            port.playback.push("reply", np.full(320, 5000, np.int16))
            return await port.next_frame()

    frame = run_virtual(main())
    assert frame is not None
    assert frame.pcm.min() == pytest.approx(5000, abs=50)
