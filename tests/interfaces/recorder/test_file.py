"""What is written can be read again, and whatever else is read is refused in one sentence."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio import FRAME_SAMPLES
from voicebot.audio_io.wav import read_wav
from voicebot.events import StateChanged, Transcribed, TurnEnded
from voicebot.interfaces.event_json import event_json
from voicebot.interfaces.recorder.file import LINES, Contents, read_recording, write_contents
from voicebot.interfaces.recorder.recording import LONGEST_LINE, Decision, Header, Recording, RecordingError
from voicebot.interfaces.recorder.ring import Decided, Entry, Sound
from voicebot.turn.table import Action, State, TurnEvent

HEADER = Header(
    voicebot="1.0", saved_at="2026-11-22T12:00:00+00:00", reason="asked for", minutes=1, pipeline={"asr": "x"}, audio={}
)
HAPPENED = (
    Entry(10.0, "1-local", Decided(3200, State.IDLE, TurnEvent.SPEECH_STARTED, (State.LISTENING, (Action.OPEN_TURN,)))),
    Entry(10.0, "1-local", StateChanged("local", 3200, "listening")),
    Entry(10.5, "1-local", Decided(8000, State.LISTENING, TurnEvent.MEANT, None)),
    Entry(11.25, "1-local", Transcribed("local", 1, 1, "Grüße\n\u2028")),
)


def sound(start_sample: int, level: int = 1000, speaker: int | None = None) -> Entry:
    heard = np.full(FRAME_SAMPLES, level, np.int16).tobytes()
    played = b"" if speaker is None else np.full(FRAME_SAMPLES, speaker, np.int16).tobytes()
    return Entry(start_sample / 16_000, "1-local", Sound(start_sample, heard, played))


def written(entries: Sequence[Entry], over: threading.Event | None = None) -> bytes:
    file = BytesIO()
    write_contents(file, Contents(HEADER, tuple(entries), 12.0, over or threading.Event()))
    return file.getvalue()


def read(folder: Path, data: bytes) -> Recording:
    file = folder / "some-file"
    file.write_bytes(data)
    return read_recording(file)


def archive(**members: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, data in members.items():
            made.writestr({"lines": LINES}.get(name, f"{name}.wav"), data)
    return file.getvalue()


def lines_with_sound() -> bytes:
    """Return the lines of an archive with one second of sound."""
    with zipfile.ZipFile(BytesIO(written([sound(number * FRAME_SAMPLES) for number in range(50)]))) as made:
        return made.read(LINES)


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    recording = read(tmp_path, written(HAPPENED))
    assert recording.header == HEADER
    assert recording.sounds == {}
    assert [(record.ago_s, record.session) for record in recording.records] == [
        *((2.0, "1-local"), (2.0, "1-local"), (1.5, "1-local"), (0.75, "1-local")),
    ]
    first, state, refused, transcribed = recording.records
    assert first.decision == Decision(
        at_sample=3200, state="idle", event="speech started", next="listening", actions=("open turn",)
    )
    assert state.event == event_json(StateChanged("local", 3200, "listening"))
    assert refused.decision is not None
    assert (refused.decision.next, refused.decision.actions) == ("listening", None)
    assert transcribed.event is not None
    assert transcribed.event["text"] == "Grüße\n\u2028"


def test_sound_is_read_as_it_was_heard_with_silence_for_what_was_lost(tmp_path: Path) -> None:
    entries = [sound(640, 5), *HAPPENED, sound(960, 6, speaker=7), sound(960, 99), sound(1600, 8)]
    recording = read(tmp_path, written(entries))
    assert len(recording.records) == len(HAPPENED)
    span = recording.header.audio["1-local"]
    assert (span.start_sample, span.samples) == (640, 4 * FRAME_SAMPLES)
    assert recording.sounds["1-local"][::FRAME_SAMPLES].tolist() == [[5, 0], [6, 7], [0, 0], [8, 0]]


def test_a_timeline_that_jumps_makes_no_endless_file(tmp_path: Path) -> None:
    entries = [sound(0, 5), sound(10**12, 6), sound(10**12 + FRAME_SAMPLES, 7), sound(320, 8)]
    recording = read(tmp_path, written(entries[:3]))
    assert recording.header.audio["1-local"].samples == 60 * 16_000
    assert recording.sounds["1-local"][-1].tolist() == [7, 0]
    assert read(tmp_path, written(entries)).header.audio["1-local"].samples == 640, "backwards"


def test_everybody_can_unpack_the_sound(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(written([sound(0, 500, speaker=700)]))
    with zipfile.ZipFile(tmp_path / "x.zip") as made:
        assert made.namelist() == [LINES, "1-local.wav"]
        made.extract("1-local.wav", tmp_path)
    assert read_wav(tmp_path / "1-local.wav").tolist() == [600] * FRAME_SAMPLES, "both sides, as one"


@pytest.mark.parametrize("entries", [HAPPENED, (sound(0),)])
def test_it_ends_early_when_nobody_needs_it(entries: Sequence[Entry]) -> None:
    over = threading.Event()
    over.set()
    with pytest.raises((RecordingError, OSError)):
        written(entries, over)


def test_the_ends_of_what_the_user_said_are_found_in_the_sound(tmp_path: Path) -> None:
    def turn(number: int, speech_end: int, **marks: int) -> Entry:
        words = ("a", "b", "b", "slm")
        ended = TurnEnded("local", number, 1, *words, interrupted=False, speech_end_sample=speech_end,
                          marks=marks, stage_ms={}, over_budget=(), error=None)  # fmt: skip
        return Entry(12.0, "1-local", ended)

    turns = [turn(1, 100, soft_end=1), turn(2, 5000, soft_end=2), turn(3, 7000), turn(4, 9000, soft_end=3)]
    other = Entry(12.0, "2-kitchen", turns[1].what)
    heard = [sound(4000 + number * FRAME_SAMPLES) for number in range(50)]
    recording = read(tmp_path, written([*heard, *turns, other]))
    assert recording.speech_ends("1-local") == [1000, 5000], "one was before, one was no speech"


LINE = b'{"ago_s": 1, "session": "1-local", "event": {"event": "x"}}'
FIRST = written(()).rstrip()
SOUND = lines_with_sound()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "line 1 is not one of a recording's"),
        (b"\xff\xfe\x00", "line 1"),
        (b"RIFF\x24\x00\x00\x00WAVE", "line 1"),
        (b'{"format": "other"}', "line 1"),
        (FIRST.replace(b'"schema":1', b'"schema":2'), "line 1 .*schema: Input should be 1"),
        (FIRST + b"\n" + LINE + b"\n" + LINE[:20], "line 3"),
        (FIRST + b'\n{"ago_s": 1, "session": "x"}', "either an event or a decision"),
        (FIRST + b'\n{"ago_s": -1, "session": "x", "event": {}}', "line 2 .*ago_s"),
        (FIRST + b"\n" + b"[" * 100_000, "line 2"),
        (FIRST + b"\n" + b" " * (LONGEST_LINE + 1), f"line 2 is longer than {LONGEST_LINE} bytes"),
        (b"PK\x03\x04 and then nothing", "not a zip file"),
        (archive(other=b"x"), "no item named"),
        (archive(lines=b"x"), "line 1"),
        (archive(lines=SOUND), "no item named '1-local.wav'"),
        (archive(**{"lines": SOUND, "1-local": b"RIFF"}), "can't be read"),
        (archive(**{"lines": SOUND, "1-local": b"no sound at all"}), "can't be read"),
        (written([sound(0)])[:-30], "not a zip file"),
    ],
)
def test_whatever_else_it_is_is_one_sentence(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(RecordingError, match=why) as caught:
        read(tmp_path, data)
    assert str(caught.value).startswith(f"{tmp_path}/some-file: ")
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_compressed_is_refused(tmp_path: Path) -> None:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(LINES, FIRST + b" " * 10_000_000)
    with pytest.raises(RecordingError, match="is compressed"):
        read(tmp_path, file.getvalue())


@pytest.mark.parametrize("change", [{"samples": 8000}, {"samples": 10**11}, {"start_sample": 2**60}])
def test_a_sound_that_is_not_what_the_header_says_is_refused(tmp_path: Path, change: dict[str, int]) -> None:
    with zipfile.ZipFile(BytesIO(written([sound(0)]))) as made:
        header, wav = json.loads(made.read(LINES)), made.read("1-local.wav")
    header["audio"]["1-local"] |= change
    with pytest.raises(RecordingError):
        read(tmp_path, archive(**{"lines": json.dumps(header).encode(), "1-local": wav}))


@pytest.mark.parametrize("name", ["none", ".", "a" * 300])
def test_what_is_no_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match=r"^[^\n]*\.$"):
        read_recording(tmp_path / name)


@given(st.lists(st.integers(min_value=0, max_value=40), max_size=30))
def test_every_order_of_sounds_can_be_written_and_read(tmp_path_factory: pytest.TempPathFactory, at: list[int]) -> None:
    recording = read(tmp_path_factory.getbasetemp(), written([sound(number * FRAME_SAMPLES) for number in at]))
    assert len(recording.sounds) == bool(at)
