"""What the processor is, what of it can be controlled here, and the command that allows the rest."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from voicebot.cli.finding import Finding
from voicebot.config.box import BoxSettings, SchedulingSettings
from voicebot.cpu.actuators import Actuators, Controls
from voicebot.cpu.box import Box, Cluster
from voicebot.cpu.sysfs import Folder
from voicebot.cpu.thermal import temperatures_c
from voicebot.cpu.topology import read_box

_KHZ_PER_GHZ: Final = 1_000_000
_GROUP: Final = "sudo groupadd --system --force voicebot && sudo usermod -aG voicebot $USER"
_FREQUENCY: Final = (
    f"{_GROUP} && sudo install -m 644 systemd/voicebot-cpu.conf /etc/tmpfiles.d/ "
    "&& sudo systemd-tmpfiles --create voicebot-cpu.conf, then log in again"
)
_WAKE_UP: Final = (
    f"{_GROUP} && sudo install -m 644 systemd/99-voicebot-cpu.rules /etc/udev/rules.d/ "
    "&& sudo udevadm control --reload && sudo udevadm trigger --name-match=cpu_dma_latency, then log in again"
)
_LIMITS: Final = "/etc/security/limits.d/voicebot.conf"


def check_box(settings: BoxSettings, root: Path = Path("/")) -> list[Finding]:
    """Look at the processor below a root, and at what may be done with it. Changes nothing."""
    box = read_box(root)
    with TemporaryDirectory() as folder:
        controls = Actuators(box, root, Path(folder) / "cpu.json").possible
    return [
        Finding("processor", "ok", "; ".join(_describe(box))),
        _check_frequency(box, controls),
        _check_wake_up(box, controls),
        _check_precedence(settings.scheduling, controls),
        _check_temperature(box, root),
        _check_energy(box, root),
    ]


def _describe(box: Box) -> list[str]:
    """Return a phrase for each kind of core."""
    kinds: dict[tuple[int, int, str], list[Cluster]] = {}
    for cluster in box.clusters:
        kinds.setdefault((cluster.capacity, cluster.highest_khz, cluster.governor), []).append(cluster)
    phrases = []
    for (capacity, highest_khz, governor), clusters in kinds.items():
        number = sum(len(cluster.cpus) for cluster in clusters)
        speed = f"up to {highest_khz / _KHZ_PER_GHZ:.1f} GHz, {governor}" if highest_khz else "of unknown frequency"
        phrases.append(f"{number} x capacity {capacity} {speed}")
    return phrases


def _check_frequency(box: Box, controls: Controls) -> Finding:
    name = "frequency"
    ways = {
        "limits": controls.frequency,
        "energy preference": controls.preference,
        "utilisation clamps": controls.clamps and any(cluster.governor == "schedutil" for cluster in box.clusters),
    }
    allowed = ", ".join(way for way, possible in ways.items() if possible)
    if controls.frequency:
        return Finding(name, "ok", f"can be set by {allowed}")
    if not any(cluster.points for cluster in box.clusters):
        return Finding(name, "ok", "the box does not let it be set (no cpufreq, as in most virtual machines)")
    detail = f"only by {allowed}: its limits can't be written." if allowed else "its limits can't be written."
    return Finding(name, "warning", detail, _FREQUENCY)


def _check_wake_up(box: Box, controls: Controls) -> Finding:
    if controls.wake_up:
        return Finding("wake-up", "ok", "cores can be kept from sleeping deeply while somebody speaks")
    if not box.has_dma_latency:
        return Finding("wake-up", "ok", "the box does not let it be limited (no /dev/cpu_dma_latency)")
    return Finding("wake-up", "warning", "/dev/cpu_dma_latency can't be written.", _WAKE_UP)


def _check_precedence(wanted: SchedulingSettings, controls: Controls) -> Finding:
    nice = min(wanted.daemon_nice, wanted.worker_nice)
    lowest = controls.nice
    allowed = [f"nice {lowest}" if lowest is not None else "", "real-time class" if controls.realtime else ""]
    detail = ", ".join(filter(None, allowed)) or "none"
    enough = lowest is not None and lowest <= nice and (controls.realtime or not wanted.realtime_priority)
    if enough or not wanted.enabled:
        return Finding("precedence", "ok", detail)
    lines = rf"@voicebot - nice {nice}\n@voicebot - rtprio {wanted.realtime_priority}\n"
    mend = f"{_GROUP} && printf '{lines}' | sudo tee {_LIMITS}, then log in again"
    wants = f"nice {nice} and real-time priority {wanted.realtime_priority} are wanted"
    return Finding("precedence", "warning", f"{detail}; {wants}: other programs may delay a reply.", mend)


def _check_temperature(box: Box, root: Path) -> Finding:
    found_c = temperatures_c(root, box.zones)
    if not found_c:
        return Finding("temperature", "ok", "the box does not tell it: nothing is slowed down for the heat")
    hottest = max(found_c, key=lambda zone: found_c[zone])
    trips = (trip for zone in box.zones if zone.name == hottest for trip in zone.trips if trip.kind == "passive")
    limit = min((trip.celsius for trip in trips), default=None)
    known = "" if limit is None else f", which the firmware holds below {limit:.0f}"
    return Finding("temperature", "ok", f"{found_c[hottest]:.0f} degrees Celsius in {hottest}{known}")


def _check_energy(box: Box, root: Path) -> Finding:
    if not box.meters:
        return Finding("energy", "ok", "estimated: the box has no meter")
    names = ", ".join(meter.name for meter in box.meters)
    meter = root / box.meters[0].path
    if Folder(meter.parent).number(meter.name) is None:
        return Finding("energy", "ok", f"estimated: the meters ({names}) can't be read by this user")
    return Finding("energy", "ok", f"measured by {names}")
