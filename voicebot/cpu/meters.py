"""Which of a box's meters together say what it takes, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from voicebot.cpu.box import Meter
from voicebot.cpu.sysfs import Folder

_WHOLE_INPUTS: Final = {"VDD_IN", "VIN", "POM_5V_IN"}
"""Labels of a rail that feeds all the others: NVIDIA's names for the supply of a whole module."""
_SOMETHING_ELSE: Final = {"amdgpu", "i915", "nouveau", "radeon", "xe"}
"""Graphics cards meter themselves and not the box."""


def find_meters(root: Path = Path("/")) -> tuple[Meter, ...]:
    """Return the energy counters of all processor packages; where there are none, the meters of power.

    A counter's path is its energy_uj, a power meter's its power*_input, or its in*_input where the current has to be
    read beside it. Domains inside a package are parts of it, as are rails fed by one that is metered too; the domain
    of the whole platform, "psys", is left out, since it holds the packages and on many boxes is not calibrated.
    """
    return tuple(_packages(root)) or _rails(root)


def _packages(root: Path) -> Iterator[Meter]:
    for path in Folder(root / "sys/class/powercap").matching("intel-rapl:*"):
        folder = Folder(path)
        name = folder.text("name") or ""
        if name.startswith("package-") and folder.matching("energy_uj"):
            wraps_uj = folder.number("max_energy_range_uj") or 0
            yield Meter("rapl", name, str((path / "energy_uj").relative_to(root)), max(0, wraps_uj))


def _rails(root: Path) -> tuple[Meter, ...]:
    meters = tuple(
        meter
        for path in Folder(root / "sys/class/hwmon").matching("hwmon*")
        if Folder(path).text("name") not in _SOMETHING_ELSE
        for meter in (tuple(_powers(path, root)) or _volts_times_amperes(path, root))
    )
    return tuple(meter for meter in meters if meter.name in _WHOLE_INPUTS) or meters


def _powers(path: Path, root: Path) -> Iterator[Meter]:
    folder = Folder(path)
    for file in folder.matching("power*_input"):
        if folder.number(file.name) is not None:
            name = folder.text(file.name.replace("_input", "_label")) or folder.text("name") or path.name
            yield Meter("hwmon", name, str(file.relative_to(root)))


def _volts_times_amperes(path: Path, root: Path) -> Iterator[Meter]:
    folder = Folder(path)
    for file in folder.matching("in*_input"):
        # An INA3221 has shunt voltages and sums beside its three rails; only rails have both a label and a current.
        label = folder.text(file.name.replace("_input", "_label"))
        if label and folder.number(file.name) is not None and folder.number(current_of(file.name)) is not None:
            yield Meter("hwmon", label, str(file.relative_to(root)))


def current_of(voltage_file: str) -> str:
    """Return the file of the current that belongs to a voltage: "curr1_input" for "in1_input"."""
    return "curr" + voltage_file.removeprefix("in")
