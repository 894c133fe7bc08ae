"""Which settings take effect at once, and which need the daemon to be started again."""

from __future__ import annotations

from typing import Any

import pytest

from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings
from voicebot.reload import adoptable, changes, needing_restart


def settings(box: dict[str, Any] | None = None, pipeline: dict[str, Any] | None = None) -> Settings:
    return Settings("a", "b", PipelineSettings.model_validate(pipeline or {}), BoxSettings.model_validate(box or {}))


@pytest.mark.parametrize(
    ("box", "pipeline", "changed", "late"),
    [
        ({}, {}, set(), []),
        ({"web": {"port": 9000}}, {}, {"box.web"}, []),
        ({"recorder": {"enabled": True}}, {}, {"box.recorder"}, []),
        ({"traces": {"enabled": True}}, {}, {"box.traces"}, []),
        ({"sessions": {"most": 2}}, {"endpoint": {"floor_ms": 210}}, {"box.sessions", "pipeline.endpoint"}, []),
        ({"cores": {"asr_threads": 1}}, {}, {"box.cores"}, ["[cores]"]),
        ({}, {"slm": {"max_tokens": 10}, "budget": {"total_ms": 800}}, {"pipeline.slm", "pipeline.budget"}, ["[slm]"]),
        ({"control": {"idle_s": 5.0}}, {}, {"box.control"}, ["[control]"]),
    ],
)
def test_what_has_changed_is_found(
    box: dict[str, Any], pipeline: dict[str, Any], changed: set[str], late: list[str]
) -> None:
    found = changes(settings(), settings(box, pipeline))
    assert found == changed
    assert [sentence.split()[0] for sentence in needing_restart(found)] == late


def test_every_section_is_compared() -> None:
    assert {f"box.{name}" for name in BoxSettings.model_fields} >= {"box.audio", "box.power", "box.mqtt"}
    same = settings({"audio": {"lead_ms": 80}})
    assert changes(same, settings({"audio": {"lead_ms": 80}})) == frozenset()


def test_what_needs_a_restart_stays_as_it_was_and_is_said_again_the_next_time() -> None:
    old = settings()
    new = settings(
        {"cores": {"asr_threads": 1}, "web": {"port": 9000}}, {"slm": {"max_tokens": 10}, "budget": {"total_ms": 800}}
    )
    adopted = adoptable(old, new)
    assert changes(old, adopted) == {"box.web", "pipeline.budget"}
    assert changes(adopted, new) == {"box.cores", "pipeline.slm"}
    assert len(needing_restart(changes(adopted, new))) == 2
