"""What a box is: the sections of a file in config/.

The shipped config/voicebot.toml names every setting; the defaults here are the same.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebot.config.control import ControlSettings
from voicebot.config.lights import LightSettings
from voicebot.config.mqtt import MqttSettings
from voicebot.config.recorder import RecorderSettings
from voicebot.config.section import Section
from voicebot.config.traces import TracesSettings
from voicebot.config.web import WebSettings
from voicebot.config.wyoming import WyomingSettings


class AudioSettings(Section):
    """The microphone and the speaker. An empty name is the system's default device."""

    input: str = ""
    output: str = ""
    block_ms: Literal[10, 20] = 20
    lead_ms: int = Field(60, ge=20, le=500)


class CoreSettings(Section):
    """Threads of each heavy stage; 0 is chosen from the number of cores.

    The language model has two numbers: decoding synchronises its threads after every operation of every token, so a
    thread too many, or one that has to share its core, costs far more there than in the prefill.
    """

    asr_threads: int = Field(0, ge=0, le=256)
    slm_threads: int = Field(0, ge=0, le=256)
    slm_prefill_threads: int = Field(0, ge=0, le=256)
    tts_threads: int = Field(0, ge=0, le=256)


class MemorySettings(Section):
    """What the plan may count on."""

    limit_mb: int = Field(0, ge=0)


class PathSettings(Section):
    """Where things are kept. An empty path is the place that suits the user."""

    models: str = ""
    cache: str = ""
    state: str = ""


class WorkerSettings(Section):
    """How the processes that host the engines are watched."""

    start_timeout_s: float = Field(60.0, gt=0)
    request_timeout_s: float = Field(10.0, gt=0)
    heartbeat_s: float = Field(10.0, gt=0)


class SchedulingSettings(Section):
    """With what precedence the service runs. What its rights do not allow is left as it is, and logged once."""

    enabled: bool = True
    daemon_nice: int = Field(-14, ge=-20, le=19)
    realtime_priority: int = Field(5, ge=0, le=49)
    worker_nice: int = Field(-13, ge=-20, le=19)
    lease: Literal["auto", "on", "off"] = "auto"


class PowerSettings(Section):
    """How cores and frequencies are set. What the box or the rights do not allow is left as it is."""

    enabled: bool = True
    clamp_idle: bool = True
    race: bool = True
    heat_margin_c: float = Field(6.0, ge=0, le=40)
    heat_alpha_per_c: float = Field(0.05, gt=0, le=1)
    assumed_trip_c: float = Field(85.0, ge=40, le=120)


class SessionSettings(Section):
    """Who may talk to it."""

    most: int = Field(10, ge=1, le=64)
    longest_text: int = Field(1000, ge=1, le=10_000)
    longest_wait_s: float = Field(30.0, gt=0, le=3600)


class BoxSettings(Section):
    """One kind of box."""

    audio: AudioSettings = AudioSettings()
    cores: CoreSettings = CoreSettings()
    memory: MemorySettings = MemorySettings()
    paths: PathSettings = PathSettings()
    workers: WorkerSettings = WorkerSettings()
    scheduling: SchedulingSettings = SchedulingSettings()
    power: PowerSettings = PowerSettings()
    sessions: SessionSettings = SessionSettings()
    control: ControlSettings = ControlSettings()
    web: WebSettings = WebSettings()
    wyoming: WyomingSettings = WyomingSettings()
    mqtt: MqttSettings = MqttSettings()
    recorder: RecorderSettings = RecorderSettings()
    lights: LightSettings = LightSettings()
    traces: TracesSettings = TracesSettings()
