"""More than one language model in a pipeline file: what ships as an example is right, and what is wrong is said."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest

from voicebot.config.load import load_settings
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.tiers import TierSettings
from voicebot.errors import ConfigError, UsageError

ASSISTANT = Path(__file__).parents[2] / "pipelines/assistant.toml"


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(str(path))
    return str(caught.value).splitlines()


def written(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def examples_in(text: str, section: str) -> list[str]:
    """Return the tables of a list of sections that stand in a comment, without what makes them one."""
    lines, found = iter(text.splitlines()), []
    for line in lines:
        if line == f"# [[{section}]]":
            table = [line, *itertools.takewhile(lambda each: each not in {"#", ""}, lines)]
            found.append("\n".join(each.removeprefix("# ") for each in table))
    return found


def test_the_shipped_examples_of_tiers_have_every_setting_with_its_default_and_a_comment() -> None:
    examples = examples_in(ASSISTANT.read_text(), "tiers")
    tables = [table for example in examples for table in tomllib.loads(example)["tiers"]]
    assert [tier.name for tier in PipelineSettings.model_validate({"tiers": tables}).tiers] == ["large", "office"]
    assert {key for table in tables for key in table} == set(TierSettings.model_fields)
    choice = {"name", "engine", "model", "url"}
    assert [
        (key, value)
        for table in tables
        for key, value in table.items()
        if key not in choice and value != TierSettings.model_fields[key].default
    ] == []
    commented = {
        line.split(" = ")[0]
        for above, line in itertools.pairwise("\n".join(examples).splitlines())
        if above.startswith("#") and " = " in line
    }
    assert commented == set(TierSettings.model_fields)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("engine = 'llama'\nmodel = 'x'", "tiers.0.name: Field required"),
        (
            "name = 'small'\nengine = 'llama'\nmodel = 'x'",
            "tiers.0.name: 'small' is the model of [slm]; choose another",
        ),
        ("name = 'a b'\nengine = 'llama'\nmodel = 'x'", "tiers.0.name: String should match pattern"),
        ("name = 'a'\nengine = 'llama'", "tiers.0: model has to be named"),
        ("name = 'a'\nengine = 'llamas'\nmodel = 'x'", "tiers.0.engine: should be 'llama', 'openai' or 'scripted'"),
        ("name = 'a'\nengine = 'openai'\nmodel = 'x'", "tiers.0: url has to be given, as in http://"),
        ("name = 'a'\nengine = 'llama'\nmodel = 'x'\nurl = 'http://box/v1'", "tiers.0: url and api_key_file are for"),
        ("name = 'a'\nengine = 'llama'\nmodel = 'x'\ncontext_tokens = 100", "tiers.0.context_tokens: should be 0, for"),
        (
            "name = 'a'\nengine = 'llama'\nmodel = 'x'\nmost_request = 1",
            "tiers.0.most_request: there is no such setting",
        ),
        *(
            (f"name = 'a'\nengine = 'openai'\nmodel = 'x'\nurl = '{url}'", f"tiers.0.url: {said}")
            for url, said in {
                "box:8080/v1": "should be like http://",
                "ftp://box/v1": "should be like http://",
                "http:///v1": "should be like http://",
                "http://box:port/v1": "this is no URL (",
                "http://me:secret@box/v1": "should hold no user, password or query",
                "http://box/v1?key=secret": "should hold no user, password or query",
                "http://8.8.8.8/v1": "8.8.8.8 is not on the local network",
                "http://[2001:4860:4860::8888]/v1": "2001:4860:4860::8888 is not on the local network",
            }.items()
        ),
    ],
)
def test_what_is_wrong_with_a_tier_is_said(tmp_path: Path, table: str, problem: str) -> None:
    path = written(tmp_path / "p.toml", f"[[tiers]]\n{table}")
    (said,) = problems(path)
    assert said.startswith(f"{path}: {problem}")


def test_two_tiers_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "p.toml", "[[tiers]]\nname = 'a'\nengine = 'scripted'\n" * 2)
    assert problems(path) == [f"{path}: tiers: two tiers have the same name"]


def test_a_tier_has_the_settings_of_the_first_but_for_its_own(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.toml",
        "[slm]\ntemperature = 0.5\nmax_tokens = 50\n"
        "[[tiers]]\nname = 'a'\nengine = 'llama'\nmodel = 'x'\ncontext_tokens = 4096\n"
        "[[tiers]]\nname = 'b'\nengine = 'openai'\nmodel = 'y'\nurl = 'http://10.0.0.2:1/v1/'\nmax_tokens = 20",
    )
    pipeline = load_settings(str(path)).pipeline
    local, remote = (pipeline.slm_of(tier) for tier in pipeline.tiers)
    assert (local.model, local.context_tokens, local.max_tokens, local.temperature) == ("x", 4096, 50, 0.5)
    assert (remote.model, remote.context_tokens, remote.max_tokens, remote.temperature) == ("y", 1024, 20, 0.5)
    assert [*pipeline.worker_stages] == ["asr", "slm", "tts", "turn", "slm-a"]
    assert pipeline.tiers[1].url == "http://10.0.0.2:1/v1"
    assert (pipeline.tier("small"), pipeline.tier("b")) == (None, pipeline.tiers[1])
    with pytest.raises(UsageError, match="there is no tier 'c'; this pipeline has small, a, b"):
        pipeline.tier("c")
