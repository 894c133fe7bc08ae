"""What the kernel makes of what is written to an LED's files, without a kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

TRIGGERS = ("none", "heartbeat", "timer")


@dataclass
class KernelLed:
    """An LED in memory. `files` are as one would read them; `written` is all that was written, in order."""

    files: dict[str, str]
    trigger: str = "none"
    locked: set[str] = field(default_factory=set)
    """Files that may not be written."""
    written: list[tuple[str, str]] = field(default_factory=list)
    gone: bool = False

    def names(self) -> list[str]:
        self._check()
        own = [name for name in self.files if name not in {"max_brightness", "multi_index"}]
        return sorted([*own, "trigger"])

    def read(self, name: str) -> str:
        self._check()
        if name == "trigger":
            return " ".join(f"[{one}]" if one == self.trigger else one for one in TRIGGERS) + "\n"
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]

    def write(self, name: str, content: str) -> None:
        self._check()
        if not self.may_write(name):
            raise PermissionError(13, "Permission denied", name)
        self.written.append((name, content))
        if name == "trigger":
            self._choose(content.strip())
        else:
            self.files[name] = f"{content.strip()}\n"
            if name == "brightness" and content.strip() == "0":
                self._choose("none")

    def may_write(self, name: str) -> bool:
        return name not in self.locked

    @property
    def lit(self) -> list[int]:
        """Every brightness that was written."""
        return [int(content) for name, content in self.written if name == "brightness"]

    def everything(self) -> dict[str, str]:
        """Return what every file holds."""
        return {name: self.read(name) for name in [*self.files, "trigger"]}

    def _choose(self, trigger: str) -> None:
        """As in the kernel, a trigger's files come and go with it, and come with its defaults."""
        assert trigger in TRIGGERS
        self.trigger = trigger
        for name in ("delay_on", "delay_off"):
            self.files.pop(name, None)
        if trigger == "timer":
            self.files |= {"delay_on": "500\n", "delay_off": "500\n"}

    def _check(self) -> None:
        if self.gone:
            raise OSError(19, "No such device")


def plain(**options: object) -> KernelLed:
    """Return an LED of one colour that is lit a little."""
    return KernelLed({"brightness": "3\n", "max_brightness": "255\n"}, **options)  # type: ignore[arg-type]


def coloured(**options: object) -> KernelLed:
    """Return an LED of three colours, which are in no usual order."""
    files = {"brightness": "7\n", "max_brightness": "200\n", "multi_index": "green red blue\n"}
    return KernelLed({**files, "multi_intensity": "1 2 3\n"}, **options)  # type: ignore[arg-type]
