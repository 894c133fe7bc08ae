"""What `voicebot doctor` says of stages that are Wyoming services elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

from wyoming.info import Info

from tests.interfaces.wyoming.fake_service import FakeService, fake_service
from voicebot.cli import doctor
from voicebot.cli.finding import Finding
from voicebot.config.pipeline import PipelineSettings

OFFER = b'{"type": "info", "data": {"asr": [{"name": "faster-whisper"}], "tts": [{"name": "piper"}]}}\n'


def pipeline(**uris: str) -> PipelineSettings:
    patient = {"engine": "wyoming", "connect_timeout_ms": 10_000, "answer_timeout_ms": 30_000}
    return PipelineSettings.model_validate({stage: {**patient, "uri": uri} for stage, uri in uris.items()})


async def found(service: FakeService, *stages: str) -> list[Finding]:
    far = pipeline(**dict.fromkeys(stages, service.uri))
    return await asyncio.to_thread(doctor.check_services, far)


async def test_what_is_sent_where_is_said() -> None:
    async with fake_service(OFFER) as service:
        assert await found(service, "asr", "tts") == [
            Finding("asr service", "ok", f"all that is heard is sent to {service.uri} (faster-whisper)"),
            Finding("tts service", "ok", f"all that is said is sent to {service.uri} (piper)"),
        ]


async def test_a_service_without_the_stage_is_none() -> None:
    async with fake_service(Info()) as service:
        (finding,) = await found(service, "tts")
    assert (finding.state, finding.detail) == ("missing", f"{service.uri} does not offer tts.")
    assert finding.mend == "correct tts.uri in the pipeline"


async def test_a_service_that_is_away_is_missing() -> None:
    async with fake_service() as service:
        pass
    (finding,) = await found(service, "asr")
    assert finding.state == "missing"
    assert finding.detail.startswith(f"the Wyoming service {service.uri} is away (")


async def test_that_it_is_not_encrypted_is_said_where_it_leaves_the_box(monkeypatch: Any) -> None:
    async def offered(*_: object) -> tuple[str, ...]:
        return ("faster-whisper",)

    monkeypatch.setattr("voicebot.interfaces.wyoming.remote.offered_programs", offered)
    (finding,) = await asyncio.to_thread(doctor.check_services, pipeline(asr="tcp://192.168.1.20:10300"))
    assert finding.detail.endswith("tcp://192.168.1.20:10300 (faster-whisper), not encrypted")


def test_without_one_there_is_nothing_to_say() -> None:
    assert doctor.check_services(PipelineSettings()) == []
