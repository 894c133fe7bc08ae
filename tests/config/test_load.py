"""Settings files: what ships is what the code has, and whatever is wrong is said at once, with file and key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from voicebot.config.box import BoxSettings
from voicebot.config.load import available, load_settings, search_path
from voicebot.config.pipeline import PipelineSettings
from voicebot.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED: list[tuple[str, BaseModel]] = [
    ("pipelines/assistant.toml", PipelineSettings()),
    ("config/voicebot.toml", BoxSettings()),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own directory of settings, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    own = tmp_path / "home/voicebot"
    (own / "pipelines").mkdir(parents=True)
    (own / "config").mkdir()
    return own


def problems(pipeline: str | Path = "assistant", profile: str | Path = "voicebot") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(str(pipeline), str(profile))
    return str(caught.value).splitlines()


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def settings_of(model: BaseModel) -> Iterator[tuple[str, str, Any]]:
    for section, values in model.model_dump().items():
        for key, value in values.items() if isinstance(values, dict) else ():  # lists of sections are in examples
            yield section, key, value


def lines_by_setting(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Return for each section and key its line and the line above."""
    found, section, above = {}, "", ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            found[section, line.split("=")[0].strip()] = (line, above)
        above = line
    return found


@pytest.mark.parametrize(("file", "defaults"), SHIPPED)
def test_the_shipped_file_has_every_setting_with_its_default(file: str, defaults: BaseModel) -> None:
    shipped = tomllib.loads((ROOT / file).read_text())
    without_lists = {name: values for name, values in defaults.model_dump(mode="json").items() if values != []}
    assert shipped == without_lists
    assert type(defaults).model_validate(shipped) == defaults


@pytest.mark.parametrize(("file", "defaults"), SHIPPED)
def test_every_setting_in_the_shipped_file_has_a_comment(file: str, defaults: BaseModel) -> None:
    lines = lines_by_setting((ROOT / file).read_text())
    bare = [
        f"{section}.{key}"
        for section, key, _ in settings_of(defaults)
        if "#" not in lines[section, key][0] and not lines[section, key][1].startswith("#")
    ]
    assert bare == []


def test_everything_shipped_loads() -> None:
    assert {"assistant", "scripted"} <= set(available("pipelines"))
    assert {"voicebot", "edge-8core", "two-core"} <= set(available("config"))
    for pipeline in available("pipelines"):
        for profile in available("config"):
            settings = load_settings(pipeline, profile)
            assert (settings.pipeline_name, settings.profile_name) == (pipeline, profile)


def test_the_scripted_pipeline_needs_no_model() -> None:
    stages = load_settings("scripted").pipeline.heavy_stages
    assert {stage.engine for stage in stages.values()} == {"scripted"}


def test_threads_that_run_at_the_same_time_fit_the_inference_cores_of_the_edge_box() -> None:
    cores = load_settings(profile="edge-8core").box.cores
    assert max(cores.asr_threads, cores.slm_prefill_threads, cores.slm_threads + cores.tts_threads) == 4


def test_a_users_file_replaces_the_shipped_one_of_the_same_name(home: Path) -> None:
    written(home / "pipelines/assistant.toml", "[slm]\nmax_tokens = 7")
    written(home / "config/voicebot.toml", "[audio]\ninput = 'Jabra'")
    settings = load_settings()
    assert settings.pipeline == PipelineSettings.model_validate({"slm": {"max_tokens": 7}})
    assert settings.box == BoxSettings.model_validate({"audio": {"input": "Jabra"}})


def test_a_users_new_file_is_known_by_its_name(home: Path) -> None:
    written(home / "pipelines/terse.toml", "[slm]\nmax_tokens = 7")
    assert "terse" in available("pipelines")
    assert load_settings("terse").pipeline.slm.max_tokens == 7


def test_the_users_directory_comes_first_and_the_shipped_one_last(home: Path) -> None:
    assert search_path("config") == (home / "config", Path("/etc/voicebot/config"), ROOT / "config")


def test_a_profile_is_laid_over_the_base_key_by_key(home: Path) -> None:
    written(home / "config/voicebot.toml", "[audio]\ninput = 'Jabra'\nlead_ms = 100\n[memory]\nlimit_mb = 900")
    written(home / "config/kitchen.toml", "[audio]\nlead_ms = 80")
    box = load_settings(profile="kitchen").box
    assert (box.audio.input, box.audio.lead_ms, box.memory.limit_mb) == ("Jabra", 80, 900)


def test_a_profile_may_mend_what_is_wrong_in_the_base(home: Path) -> None:
    written(home / "config/voicebot.toml", "[audio]\nlead_ms = 1")
    written(home / "config/kitchen.toml", "[audio]\nlead_ms = 80")
    assert load_settings(profile="kitchen").box.audio.lead_ms == 80


def test_a_file_may_be_given_by_its_path(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.toml", "[slm]\nmax_tokens = 7")
    settings = load_settings(str(path))
    assert settings.pipeline_name == "mine"
    assert settings.pipeline.slm.max_tokens == 7


def test_an_empty_file_has_all_defaults(tmp_path: Path) -> None:
    assert load_settings(str(written(tmp_path / "empty.toml", ""))).pipeline == PipelineSettings()


def test_all_errors_of_both_files_come_at_once_with_file_and_key(tmp_path: Path) -> None:
    pipeline = written(tmp_path / "p.toml", "[endpoint]\nonset = 64\nonset_ms = 5\n[slmm]\nmodel = 'x'")
    profile = written(tmp_path / "b.toml", "[audio]\nblock_ms = 15\n[cores]\nasr_thread = 2")
    assert problems(pipeline, profile) == [
        f"{pipeline}: endpoint.onset_ms: should be greater than or equal to 32",
        f"{pipeline}: endpoint.onset: there is no such setting (did you mean 'onset_ms'?)",
        f"{pipeline}: slmm: there is no such setting (did you mean 'slm'?)",
        f"{profile}: audio.block_ms: should be 10 or 20",
        f"{profile}: cores.asr_thread: there is no such setting (did you mean 'asr_threads'?)",
    ]


def test_a_layered_error_names_the_file_it_is_in(home: Path, tmp_path: Path) -> None:
    base = written(home / "config/voicebot.toml", "[memory]\nlimit_mb = -1")
    profile = written(tmp_path / "b.toml", "[audio]\nlead_ms = 1")
    assert [line.split(": ")[0] for line in problems(profile=profile)] == [str(profile), str(base)]


@pytest.mark.parametrize(
    ("section", "contradiction", "problem"),
    [
        (
            "endpoint",
            "silence_probability = 0.6\nspeech_probability = 0.5",
            "silence_probability must not be above speech_probability",
        ),
        (
            "endpoint",
            "floor_ms = 3000",
            "floor_ms, doubt_ms and ceiling_ms must not decrease in this order",
        ),
        (
            "endpoint",
            "open_odds = 0.5\ndoubt_odds = 0.5",
            "open_odds, doubt_odds and sure_odds must increase in this order",
        ),
        (
            "speculation",
            "soft_end_ms = 400\nlatest_soft_end_ms = 300",
            "soft_end_ms must not be above latest_soft_end_ms",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_an_error_of_their_section(
    tmp_path: Path, section: str, contradiction: str, problem: str
) -> None:
    path = written(tmp_path / "p.toml", f"[{section}]\n{contradiction}")
    assert problems(path) == [f"{path}: {section}: {problem}"]


def test_a_list_of_words_is_a_list(tmp_path: Path) -> None:
    path = written(tmp_path / "p.toml", "[barge_in]\ncommands = ['halt']\nbackchannels = []")
    barge_in = load_settings(str(path)).pipeline.barge_in
    assert (barge_in.commands, barge_in.backchannels) == (("halt",), ())
    path = written(tmp_path / "q.toml", "[barge_in]\ncommands = 'halt'")
    assert problems(path)[0].startswith(f"{path}: barge_in.commands: ")


def test_names_that_do_not_exist_are_all_said_with_the_nearest_one(home: Path) -> None:
    written(home / "pipelines/assistant.toml", "")
    pipeline, profile = problems("asistant", "two-cores")
    assert pipeline.startswith("there is no pipeline 'asistant' (did you mean 'assistant'?); known: assistant, ")
    assert profile.startswith("there is no profile 'two-cores' (did you mean 'two-core'?); known: edge-8core, ")


@pytest.mark.parametrize("name", ["", "..", "no\0name", "n" * 300])
def test_strange_names_are_only_unknown(name: str) -> None:
    assert problems(name)[0].startswith("there is no pipeline ")


@pytest.mark.parametrize("name", ["missing.toml", "./no/such/file", "n" * 300 + ".toml"])
def test_a_path_that_leads_nowhere_is_said(name: str) -> None:
    assert problems(name) == [f"{Path(name)}: there is no such settings file."]


def test_a_directory_is_no_settings_file(home: Path, tmp_path: Path) -> None:
    (tmp_path / "dir.toml").mkdir()
    (home / "pipelines/assistant.toml").mkdir()
    assert problems(tmp_path / "dir.toml") == [f"{tmp_path / 'dir.toml'}: there is no such settings file."]
    assert load_settings().pipeline == PipelineSettings()


def test_an_unknown_engine_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    path = written(tmp_path / "p.toml", "[tts]\nengine = 'piperr'\n[asr]\nengine = 'vosk'")
    assert problems(path) == [
        f"{path}: asr.engine: should be 'faster-whisper', 'wyoming' or 'scripted'",
        f"{path}: tts.engine: should be 'piper', 'wyoming' or 'scripted' (did you mean 'piper'?)",
    ]


@pytest.mark.parametrize(
    "content",
    ["[endpoint\n", "a = 1\na = 2", "x = \0", b"\x00\x01\x02", b"\xff\xfe[slm]", b"RIFF\x24\x00", "a = " + "[" * 5000],
    ids=["syntax", "twice", "nul", "nuls", "utf-16", "wav", "deep"],
)
def test_what_is_no_toml_is_said_with_the_file(tmp_path: Path, content: str | bytes) -> None:
    path = written(tmp_path / "p.toml", content)
    (problem,) = problems(path)
    assert problem.startswith(f"{path}: this is no valid TOML (")


def test_one_unreadable_file_does_not_hide_the_errors_of_the_other(tmp_path: Path) -> None:
    pipeline = written(tmp_path / "p.toml", "[")
    profile = written(tmp_path / "b.toml", "[audio]\nlead_ms = 1")
    assert [line.split(": ")[0] for line in problems(pipeline, profile)] == [str(pipeline), str(profile)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("endpoint = 3", "endpoint: should be a section, [endpoint]"),
        ("[[endpoint]]\nonset_ms = 64", "endpoint: should be a section, [endpoint]"),
        ("[slm]\nmax_tokens = '60'", "slm.max_tokens: should be a valid integer"),
        ("[slm]\nmax_tokens = 60.0", "slm.max_tokens: should be a valid integer"),
        ("[slm]\nseed = true", "slm.seed: should be a valid integer"),
        ("[slm]\nmodel = 5", "slm.model: should be a valid string"),
        ("[slm]\ntemperature = nan", "slm.temperature: should be a finite number"),
        ("[tts]\nspeed = [1.0]", "tts.speed: should be a valid number"),
        ("[asr.model]\nname = 'x'", "asr.model: should be a valid string"),
    ],
)
def test_a_value_of_the_wrong_type_is_not_converted(tmp_path: Path, content: str, problem: str) -> None:
    path = written(tmp_path / "p.toml", content)
    assert problems(path) == [f"{path}: {problem}"]


def test_a_whole_number_will_do_for_a_fraction(tmp_path: Path) -> None:
    path = written(tmp_path / "p.toml", "[tts]\nspeed = 2")
    assert load_settings(str(path)).pipeline.tts.speed == 2.0
