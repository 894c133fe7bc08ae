"""Tries the installed service in a systemd of its own and prints what it took; scripts/try-systemd starts it there.

What it does is for a box that can be thrown away: it mounts, kills and installs, as root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.virtual_sound_card import VirtualSoundCard
from voicebot.audio import AUDIBLE_LEVEL, Pcm, samples_from_ms
from voicebot.models.location import default_root

ROOT: Final = Path(__file__).resolve().parents[1]
UNIT: Final = "voicebot.service"
MODELS: Final = Path("/var/lib/voicebot/models")
PROCESSOR: Final = Path("/sys/devices/system/cpu")
SETTINGS: Final = "cpufreq/policy*/scaling_m??_freq"
JOURNAL: Final = Path("/run/voicebot/cpu.json")
QUESTION: Final = ROOT / "fixtures/conversation"
PATIENCE_S: Final = 60.0
WORKERS: Final = 4
FAR_AWAY: Final = ("198.51.100.1", 9)

failed: list[str] = []


def main() -> int:
    """Try everything with the tree that is named. The exit code is 1 when something was not as it has to be."""
    everything(Path(sys.argv[1]))
    return 1 if failed else 0


def everything(tree: Path) -> None:
    install(tree)
    before = processor()
    # A service sees no /tmp but its own, and no home.
    folder = Path("/run/card")
    folder.mkdir(mode=0o711)
    with show_the_log(), a_way_out() as leaked, VirtualSoundCard(folder) as card:
        drop_in(PULSE_SERVER=card.env["PULSE_SERVER"], ALSA_CONFIG_PATH=card.env["ALSA_CONFIG_PATH"])
        exposure()
        start()
        converse(card)
        the_journal()
        clamped(before)
        workers_die()
        a_worker_hangs()
        the_daemon_dies()
        the_daemon_hangs()
        a_reload()
        stop(card, before)
        settings_outlive_a_crash(before)
        tell("packets through an interface with a default route", leaked() == 0, f"{leaked()}")
        leak_is_seen(leaked)


@contextmanager
def show_the_log() -> Iterator[None]:
    try:
        yield
    finally:
        run("journalctl", "-u", UNIT, "--no-pager", "-o", "short-monotonic", output=None)


def install(tree: Path) -> None:
    """Put the program in its place, with the models of who runs this, on a box whose frequencies can be set."""
    for name in ("etc", "usr/bin", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/lib/systemd"):
        shutil.copytree(tree / name, Path("/") / name, dirs_exist_ok=True)
    Path("/usr/lib/voicebot").mkdir()
    run("mount", "--bind", tree / "usr/lib/voicebot", "/usr/lib/voicebot")
    run("systemd-sysusers", "/usr/lib/sysusers.d/voicebot.conf")
    run("install", "-d", "-o", "voicebot", "-g", "voicebot", MODELS.parent)
    shutil.copytree(default_root(), MODELS)
    run("env", f"VOICEBOT_MODELS={MODELS}", "voicebot", "models", "verify")  # so that no start has to hash the copies
    copy = Path("/run/processor")
    shutil.copytree(ROOT / "fixtures/sysfs/rk3588" / PROCESSOR.relative_to("/"), copy)
    run("mount", "--bind", copy, PROCESSOR)
    run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/voicebot-cpu.conf")


def drop_in(**environ: str) -> None:
    folder = Path(f"/etc/systemd/system/{UNIT}.d")
    folder.mkdir(exist_ok=True)
    lines = [f"Environment={name}={value}" for name, value in environ.items()]
    (folder / "card.conf").write_text("\n".join(["[Service]", *lines, ""]))
    run("systemctl", "daemon-reload")


@contextmanager
def a_way_out() -> Iterator[Callable[[], int]]:
    """Give this box an interface with a default route; the value tells how many packets went into it."""
    run("ip", "link", "add", "out0", "type", "veth", "peer", "name", "out1")
    for end in ("out0", "out1"):  # without addresses that the kernel itself would announce
        run("ip", "link", "set", end, "addrgenmode", "none", "up")
    run("ip", "address", "add", "192.0.2.1/24", "dev", "out0")
    run("ip", "route", "add", "default", "via", "192.0.2.2")
    run("ip", "neighbour", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:01", "dev", "out0", "nud", "permanent")
    counter = Path("/sys/class/net/out0/statistics/tx_packets")
    before = int(counter.read_text())
    yield lambda: int(counter.read_text()) - before


def exposure() -> None:
    said = run("systemd-analyze", "security", "--no-pager", UNIT).splitlines()[-1]
    exposed = next(float(word) for word in said.split() if word[0].isdigit())
    tell("exposure", exposed <= 3.0, f"{exposed}")


def start() -> None:
    took_s = timed(lambda: run("systemctl", "start", UNIT))
    tell("READY", took_s <= 10, f"after {took_s:.1f} s")
    took_s = timed(lambda: until(lambda: "local" in status()["sessions"]))
    tell("the microphone is heard", took_s < PATIENCE_S, f"{took_s:.1f} s later; {show('StatusText')}")


def converse(card: VirtualSoundCard) -> None:
    """Ask aloud and in writing."""
    with card.listen() as heard:
        card.speak(min(QUESTION.glob("*.wav")))
        time.sleep(6)
    turn = status()["last_turn"]
    tell("a question at the microphone", audible(heard.pcm) > samples_from_ms(500), json.dumps(turn))
    tell("a question in writing", bool(ask()), ask())


def the_journal() -> None:
    """Find the turns by what they were."""
    wanted = ("VOICEBOT_SESSION=local", "VOICEBOT_OUTCOME=finished")
    turns = [json.loads(line) for line in run("journalctl", "-u", UNIT, "-o", "json", *wanted).splitlines()]
    fields = {"VOICEBOT_TURN", "VOICEBOT_VOICE_TO_VOICE_MS", "VOICEBOT_SLM_MS", "CODE_FUNC", "LOGGER"}
    found = next((turn["MESSAGE"] for turn in turns if fields <= set(turn)), "")
    tell("a turn in the journal, by its fields", bool(found), found)


def clamped(before: Mapping[str, str]) -> None:
    time.sleep(5)
    changed = {name: now for name, now in processor().items() if now != before[name]}
    tell("an idle box is held slow", bool(changed) and JOURNAL.exists(), json.dumps(changed))


def workers_die() -> None:
    for one in workers():
        began_s = time.monotonic()
        os.kill(one, signal.SIGKILL)
        until_replaced(one)
        answer = ask()
        tell("a worker is killed", bool(answer), f"{answer} {time.monotonic() - began_s:.1f} s after")


def a_worker_hangs() -> None:
    one, restarts = workers()[-1], show("NRestarts")
    os.kill(one, signal.SIGSTOP)
    took_s = timed(lambda: until_replaced(one))
    same = show("NRestarts") == restarts
    tell("a worker hangs while nobody speaks", same and bool(ask()), f"replaced after {took_s:.1f} s")


def the_daemon_dies() -> None:
    orphans, took_s = workers(), restarted(signal.SIGKILL)
    left = [pid for pid in orphans if Path(f"/proc/{pid}").exists()]
    tell("the daemon is killed", not left and bool(ask()), f"READY again after {took_s:.1f} s, {len(left)} orphans")


def the_daemon_hangs() -> None:
    took_s = restarted(signal.SIGSTOP)
    tell("the daemon hangs", bool(ask()), f"READY again after {took_s:.1f} s")


def a_reload() -> None:
    pid = show("MainPID")
    run("systemctl", "reload", UNIT)
    tell("reload", show("MainPID") == pid and show("ActiveState") == "active", show("StatusText"))


def stop(card: VirtualSoundCard, before: Mapping[str, str]) -> None:
    """Stop in the middle of a reply."""
    talking = subprocess.Popen(["voicebot", "say", "one two three four five six seven eight nine ten " * 3])
    time.sleep(3)
    with card.listen() as heard:
        time.sleep(0.5)
        took_s = timed(lambda: run("systemctl", "stop", UNIT))
        time.sleep(0.5)
    talking.wait()
    tell("stop while it speaks", took_s <= 2 and show("Result") == "success", f"after {took_s:.2f} s")
    tell("the reply was being heard", audible(heard.pcm) > 0, f"{audible(heard.pcm)} samples of it")
    tell("the processor is as it was", processor() == before and not JOURNAL.exists(), show("Result"))


def settings_outlive_a_crash(before: Mapping[str, str]) -> None:
    """Kill a daemon that is not started again: ExecStopPost alone has to put things back."""
    run("systemctl", "start", UNIT)
    until(lambda: processor() != before)
    held = JOURNAL.read_text()
    os.kill(int(show("MainPID")), signal.SIGKILL)
    took_s = timed(lambda: until(lambda: processor() == before))
    run("systemctl", "stop", UNIT)
    tell("the processor is as it was after a crash", processor() == before, f"{took_s:.2f} s after, from {len(held)} B")


def leak_is_seen(leaked: Callable[[], int]) -> None:
    """Show that the counter would have seen a packet, and that the kernel drops what the unit does not allow."""
    program = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', {FAR_AWAY})"
    limits = ("-p", "IPAddressDeny=any", "-p", "IPAddressAllow=localhost")
    refused = subprocess.run(["systemd-run", "-q", "--wait", *limits, sys.executable, "-c", program], check=False)
    tell("a packet from inside the limits", refused.returncode != 0 and leaked() == 0, f"{leaked()} came through")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unlimited:
        unlimited.sendto(b"x", FAR_AWAY)
    tell("a packet from outside of them", leaked() == 1, f"{leaked()} came through")


def restarted(number: signal.Signals) -> float:
    """Send a signal to the daemon; return after how many seconds systemd had another one that was ready."""
    pid = show("MainPID")
    os.kill(int(pid), number)
    return timed(lambda: until(lambda: show("MainPID") not in {pid, "0"} and show("ActiveState") == "active"))


def audible(pcm: Pcm) -> int:
    return int(np.count_nonzero(np.abs(pcm.astype(np.int32)) > AUDIBLE_LEVEL))


def workers() -> list[int]:
    children = run("pgrep", "-P", show("MainPID"), "-f", "voicebot.workers.host", fails=True)
    return sorted(int(pid) for pid in children.split())


def processor() -> dict[str, str]:
    return {str(file.relative_to(PROCESSOR)): file.read_text().strip() for file in sorted(PROCESSOR.glob(SETTINGS))}


def ask() -> str:
    answer = run("voicebot", "ask", "--json", "What is the capital of France?", fails=True)
    return str(json.loads(answer)["reply"]) if answer else ""


def status() -> dict[str, Any]:
    told = run("voicebot", "status", "--json", fails=True)
    daemon: dict[str, Any] = json.loads(told)["daemon"] if told else {"last_turn": None, "sessions": {}}
    return daemon


def show(name: str) -> str:
    return run("systemctl", "show", UNIT, "--value", "-p", name).strip()


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.02)


def until_replaced(worker: int) -> None:
    until(lambda: worker not in workers() and len(workers()) == WORKERS)


def timed(what: Callable[[], object]) -> float:
    began_s = time.monotonic()
    what()
    return time.monotonic() - began_s


def tell(what: str, fine: bool, figure: str) -> None:
    print(f"{'ok' if fine else 'FAILED':8}{what}: {figure}", flush=True)  # noqa: T201
    if not fine:
        failed.append(what)


def run(*command: object, fails: bool = False, output: int | None = subprocess.PIPE) -> str:
    done = subprocess.run([str(word) for word in command], check=False, text=True, stdout=output)
    if done.returncode and not fails:
        tell(" ".join(map(str, command)), False, f"exit code {done.returncode}")
    return "" if output is None or done.returncode else done.stdout


if __name__ == "__main__":
    sys.exit(main())
