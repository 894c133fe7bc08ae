"""A restarted broker costs no turn, and no event is missing or there too often."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interfaces.mqtt.restarts import restart_during_a_conversation


async def test_no_event_is_lost_over_restarts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outcome = await restart_during_a_conversation(tmp_path, restarts=3)
    assert len(outcome.turns) >= 6
    assert outcome.arrived == dict.fromkeys(outcome.turns, 1)
    assert sorted({event["sequence"] for event in outcome.events}) == list(range(1, len(outcome.turns) + 1))
    assert outcome.answered >= len(outcome.turns) - 1
    assert len([record for record in caplog.records if "has hung up" in record.message]) == 3
    assert len([record for record in caplog.records if "It is tried again" in record.message]) == 3
