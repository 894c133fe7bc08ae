"""Voice to voice with a program of normal priority busy on every core: idle, with the service's precedence, without it.

The three are measured in turn, over and over, each in a process of its own that runs as the service would: as an
ordinary user, with the rights that its unit grants. A busy program has a session of its own, as one that was started
from elsewhere has, so that a kernel which groups sessions weighs it as such.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from voicebot.bench.hogged import Order
from voicebot.errors import EngineError, UsageError
from voicebot.latency.percentiles import summary

GRANTED: Final = ("--nice=35", "--rtprio=20")
"""What LimitNICE=-15 and LimitRTPRIO=20 of the unit are for prlimit(1)."""
_RAISED: Final = "LimitNICE=-15, LimitRTPRIO=20"
_STAND_IN: Final = "CAP_SYS_NICE, since limits can't be raised here"


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the things that are compared."""

    name: str
    hogs: bool
    scheduling: bool


ARMS: Final = (
    Arm("idle", hogs=False, scheduling=True),
    Arm("hogs", hogs=True, scheduling=True),
    Arm("hogs, no precedence", hogs=True, scheduling=False),
)


@dataclass(frozen=True, slots=True)
class Rights:
    """Whose rights a process has: the words in front of its command, and what they are called."""

    words: tuple[str, ...] = ()
    called: str = "our own"
    uid: int | None = None


def rights_of(user: str | None) -> Rights:
    """Return the rights that the unit grants to a user, or our own. Raises UsageError for one that is not known.

    The user may read files that are not his, so that models and program need not be moved; which says nothing about
    precedence. Where not even we may raise limits, the capability stands in for what they would allow.
    """
    if user is None:
        return Rights()
    if os.getuid() != 0:
        raise UsageError("to measure as another user, run this as root.")
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise UsageError(f"there is no user {user!r}; name one that exists, such as nobody.") from error
    raised = ("prlimit", *GRANTED, "--")
    may_raise = subprocess.run([*raised, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    kept = "-all,+dac_read_search" if may_raise else "-all,+dac_read_search,+sys_nice"
    changed = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--no-new-privs")
    capabilities = tuple(f"--{kind}={kept}" for kind in ("inh-caps", "ambient-caps", "bounding-set"))
    words = (*(raised if may_raise else ()), *changed, *capabilities, "--")
    return Rights(words, _RAISED if may_raise else _STAND_IN, entry.pw_uid)


@contextmanager
def hogs() -> Iterator[None]:
    """Keep a program of normal priority busy on every core, each in a session of its own."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for cpu in os.sched_getaffinity(0):
            hog = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
            running.append(hog)
            os.sched_setaffinity(hog.pid, {cpu})
            with contextlib.suppress(PermissionError):  # we are nicer than normal ourselves
                os.setpriority(os.PRIO_PROCESS, hog.pid, 0)
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


class Bench:
    """Runs the arms."""

    def __init__(self, order: Order, rights: Rights, models: Path, told: Callable[[str], None]) -> None:
        """`models`: the store's root. `told` is called with a line about each run that has ended."""
        self._order = order
        self._rights = rights
        self._models = models
        self._told = told

    def pairs(self, count: int) -> dict[str, Any]:
        """Return voice to voice of each arm, after `count` runs of each in turn; times in milliseconds."""
        with self._caches() as caches:
            runs = [(arm, self._run(caches[arm], arm)) for _ in range(count) for arm in ARMS]
        figures = {}
        for arm in ARMS:
            own = [run for ran, run in runs if ran is arm]
            figures[arm.name] = _figures([turn for run in own for turn in run["turns"]]) | {"ran_as": own[-1]["ran_as"]}
        return {"rights": self._rights.called, "pairs": count, "arms": figures, "ratios": _ratios(figures)}

    def card(self, minutes: float) -> dict[str, Any]:
        """Return what the audio path has lost in as many minutes of conversation with busy cores."""
        with self._caches() as caches:
            return self._run(caches[ARMS[1]], ARMS[1], card_s=60 * minutes)

    def _run(self, cache: Path, arm: Arm, card_s: float = 0.0) -> dict[str, Any]:
        order = replace(self._order, scheduling=arm.scheduling, card_s=card_s)
        command = [*self._rights.words, sys.executable, "-m", "voicebot.bench.hogged"]
        with hogs() if arm.hogs else contextlib.nullcontext():
            done = subprocess.run(
                command,
                input=json.dumps(asdict(order)),
                env={**os.environ, "CACHE_DIRECTORY": str(cache), "VOICEBOT_MODELS": str(self._models)},
                text=True,
                stdout=subprocess.PIPE,
                start_new_session=True,
                check=False,
            )
        if done.returncode != 0:
            raise EngineError(f"the run {arm.name!r} failed (exit code {done.returncode}); see what it said above.")
        found: dict[str, Any] = json.loads(done.stdout)
        times_ms = [turn["voice_to_voice_ms"] for turn in found.get("turns", ())]
        self._told(f"{arm.name}: {times_ms or found}")
        return found

    @contextmanager
    def _caches(self) -> Iterator[dict[Arm, Path]]:
        """Give each arm a cache of its own: in one that is busy other costs of the stages are learnt."""
        with tempfile.TemporaryDirectory(prefix="voicebot-hog-") as folder:
            Path(folder).chmod(0o755)
            caches = {arm: Path(folder) / str(number) for number, arm in enumerate(ARMS)}
            for cache in caches.values():
                cache.mkdir()
                if self._rights.uid is not None:
                    os.chown(cache, self._rights.uid, -1)
            yield caches


def over_limit(result: dict[str, Any], limit: float) -> list[str]:
    """Return a sentence for everything that is not as it should be."""
    wrong = []
    ratio = result["ratios"]["hogs"]["p95"]
    if ratio is None or ratio > limit:
        wrong.append(f"with busy cores p95 is {ratio} times the idle machine's")
    if result["arms"]["hogs"]["unanswered"]:
        wrong.append(f"{result['arms']['hogs']['unanswered']} turns were not answered")
    return wrong


def lost_audio(card: dict[str, Any]) -> list[str]:
    """Return a sentence for each place at which the audio path has lost something."""
    places = {"lost_blocks": "by the card", "dropped_frames": "of the microphone", "late_blocks": "of the reply"}
    return [f"{card[name]} blocks were lost {place}" for name, place in places.items() if card[name]]


def _figures(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return voice to voice, and of how many turns; `eased` are those that were answered with less than all quality."""
    answered_ms = [turn["voice_to_voice_ms"] for turn in turns if turn["voice_to_voice_ms"] is not None]
    return {
        **summary(answered_ms),
        "turns": len(turns),
        "unanswered": len(turns) - len(answered_ms),
        "eased": sum(bool(turn["ladder"]) for turn in turns),
    }


def _ratios(figures: dict[str, dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    idle = figures[ARMS[0].name]
    return {arm.name: {key: _ratio(figures[arm.name][key], idle[key]) for key in ("p50", "p95")} for arm in ARMS[1:]}


def _ratio(value: float | None, idle: float | None) -> float | None:
    return None if value is None or not idle else round(value / idle, 2)


def order_of(pipeline: str, profile: str, clips: Sequence[Path]) -> Order:
    """Return the order of all runs; a run is told what it is besides."""
    return Order(pipeline, profile, scheduling=True, clips=tuple(str(clip.resolve()) for clip in clips))
