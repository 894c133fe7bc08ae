"""Busy cores: what is made of the runs, whose rights they have, and the real thing with scripted engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from voicebot.bench.hog import ARMS, Bench, Rights, hogs, lost_audio, order_of, over_limit, rights_of
from voicebot.errors import EngineError, UsageError

ROOT: Final = Path(__file__).parents[2]
CLIP: Final = ROOT / "fixtures/questions/sum.wav"
ORDER: Final = order_of("scripted", "voicebot", [CLIP])


def run(times_ms: list[float | None], *, eased: bool = False) -> dict[str, Any]:
    ladder = {"asr": "greedy"} if eased else {}
    return {"ran_as": {}, "turns": [{"voice_to_voice_ms": time_ms, "ladder": ladder} for time_ms in times_ms]}


def of_runs(monkeypatch: pytest.MonkeyPatch, runs: dict[str, dict[str, Any]], pairs: int = 1) -> dict[str, Any]:
    bench = Bench(ORDER, Rights(), Path(), lambda _: None)
    monkeypatch.setattr(bench, "_run", lambda _cache, arm: runs[arm.name])
    return bench.pairs(pairs)


def test_ratios_are_those_of_the_idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"idle": run([400, 500]), "hogs": run([500, 700], eased=True), "hogs, no precedence": run([900, 2000])}
    result = of_runs(monkeypatch, runs, pairs=2)
    assert result["arms"]["hogs"]["turns"] == 4
    assert (result["arms"]["idle"]["eased"], result["arms"]["hogs"]["eased"]) == (0, 4)
    assert result["ratios"] == {"hogs": {"p50": 1.25, "p95": 1.4}, "hogs, no precedence": {"p50": 2.25, "p95": 4.0}}
    assert over_limit(result, 1.5) == []
    assert over_limit(result, 1.3) == ["with busy cores p95 is 1.4 times the idle machine's"]


def test_turns_without_an_answer_are_beyond_any_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"idle": run([400]), "hogs": run([400, None]), "hogs, no precedence": run([None])}
    result = of_runs(monkeypatch, runs)
    assert result["ratios"]["hogs, no precedence"] == {"p50": None, "p95": None}
    assert over_limit(result, 1.5) == ["1 turns were not answered"]


def test_audio_that_was_lost_is_said_by_the_place() -> None:
    assert lost_audio({"lost_blocks": 0, "dropped_frames": 2, "late_blocks": 0}) == [
        "2 blocks were lost of the microphone"
    ]


def test_a_hog_is_of_normal_priority_and_of_its_own_session_and_ends() -> None:
    with hogs():
        found = psutil.Process().children()
        assert len(found) == len(os.sched_getaffinity(0))
        assert {os.getsid(hog.pid) for hog in found} == {hog.pid for hog in found}
        assert {os.sched_getscheduler(hog.pid) for hog in found} == {os.SCHED_OTHER}
        assert sorted(cpu for hog in found for cpu in hog.cpu_affinity()) == sorted(os.sched_getaffinity(0))
    assert not any(hog.is_running() for hog in found)


def test_rights_are_those_of_the_unit_or_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rights_of(None) == Rights()
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(UsageError, match="run this as root"):
        rights_of("nobody")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    with pytest.raises(UsageError, match="there is no user 'nobody-at-all'"):
        rights_of("nobody-at-all")
    for code, capability in ((0, False), (1, True)):
        monkeypatch.setattr(
            subprocess, "run", lambda command, code=code, **_: subprocess.CompletedProcess(command, code)
        )
        found = rights_of("nobody")
        assert ("prlimit" in found.words) is not capability
        assert any("sys_nice" in word for word in found.words) is capability
        assert ("CAP_SYS_NICE" in found.called) is capability


def test_a_run_that_fails_is_an_error() -> None:
    order = order_of("no-such-pipeline", "voicebot", [CLIP])
    with pytest.raises(EngineError, match="the run 'idle' failed"):
        Bench(order, Rights(), Path(), lambda _: None).pairs(1)


def measured(**changed: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "voicebot.bench.hogged"],
        input=json.dumps(asdict(ORDER) | changed),
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_run_with_scripted_engines_answers_its_clips() -> None:
    found = measured()
    assert [Path(turn["file"]) for turn in found["turns"]] == [CLIP]
    assert found["turns"][0]["voice_to_voice_ms"] > 0
    assert found["ran_as"]["uid"] == os.getuid()


def test_a_conversation_over_the_card_takes_as_long_as_it_is_to_and_holds_turns() -> None:
    found = measured(card_s=8.0)
    assert found["blocks"] == pytest.approx(8000 / 20, rel=0.2)
    assert found["turns_held"] >= 1
    assert set(found) >= {"lost_blocks", "dropped_frames", "late_blocks"}


def test_the_arms_differ_in_one_thing_each() -> None:
    assert [(arm.hogs, arm.scheduling) for arm in ARMS] == [(False, True), (True, True), (True, False)]
