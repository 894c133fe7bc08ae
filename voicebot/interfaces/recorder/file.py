"""Recordings as files: lines of JSON, or, with sound, an archive of them and of one WAV file for each session.

All calls block, for as long as a disk takes.
"""

from __future__ import annotations

import threading
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, samples_from_ms
from voicebot.interfaces.event_json import event_json, json_line
from voicebot.interfaces.recorder.recording import (
    LONGEST_TEXT,
    Header,
    Recording,
    RecordingError,
    Span,
    Stereo,
    parse_lines,
)
from voicebot.interfaces.recorder.ring import Decided, Entry, Sound

LINES: Final = "recording.jsonl"
"""What the lines are called in an archive."""
_ZIP_MAGIC: Final = b"PK\x03\x04"
_LONGEST_SOUND_S: Final = 3660
"""The longest that may be kept, and a bit of what was lost from it."""
_SECOND: Final = samples_from_ms(1000)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is to be written. `over`: it is of no use any more."""

    header: Header
    entries: tuple[Entry, ...]
    saved_s: float
    over: threading.Event

    @property
    def sounds(self) -> dict[str, list[Sound]]:
        """Return what was heard, by session."""
        found: dict[str, list[Sound]] = {}
        for entry in self.entries:
            if isinstance(entry.what, Sound):
                found.setdefault(entry.session, []).append(entry.what)
        return found


def write_contents(file: IO[bytes], contents: Contents) -> None:
    """Write lines, or an archive if there is sound. Raises OSError, and RecordingError when it is over."""
    sounds = contents.sounds
    if not sounds:
        _write_lines(file, contents, contents.header)
        return
    longest = round(contents.header.minutes * 60 * SAMPLE_RATE_HZ)
    spans = {session: _span(heard, longest) for session, heard in sounds.items()}
    with ZipFile(file, "w", ZIP_STORED) as archive:
        with archive.open(ZipInfo(LINES), "w") as inside:
            _write_lines(inside, contents, contents.header.model_copy(update={"audio": spans}))
        for session, heard in sounds.items():
            with archive.open(ZipInfo(_wav_name(session)), "w") as inside:
                _write_wav(inside, heard, spans[session], contents.over)


def read_recording(file: Path) -> Recording:
    """Return what a file holds, whatever its name is. Raises RecordingError."""
    try:
        if not file.is_file():
            raise RecordingError(f"{file}: there is no such file; name an existing recording.")
        with file.open("rb") as opened:
            begin = opened.read(len(_ZIP_MAGIC))
            opened.seek(0)
            if begin == _ZIP_MAGIC:
                return _read_archive(file, opened)
            return Recording(file, *parse_lines(file, _limited(file, opened)))
    except (OSError, BadZipFile, wave.Error, EOFError, RuntimeError, ValueError, KeyError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise RecordingError(f"{file}: the recording can't be read ({why or type(error).__name__}).") from error


def _write_lines(file: IO[bytes], contents: Contents, header: Header) -> None:
    file.write(json_line(header.model_dump(by_alias=True)))
    for line in _lines(contents):
        _check(contents.over)
        file.write(line)


def _lines(contents: Contents) -> Iterator[bytes]:
    for entry in contents.entries:
        when = {"ago_s": round(max(0.0, contents.saved_s - entry.at_s), 3), "session": entry.session}
        match entry.what:
            case Sound():
                pass
            case Decided():
                yield json_line(when | {"decision": _decision(entry.what)})
            case _:
                yield json_line(when | {"event": event_json(entry.what)})


def _decision(decided: Decided) -> Mapping[str, object]:
    following, actions = decided.step or (decided.state, None)
    return {
        "at_sample": decided.at_sample,
        "state": decided.state.value,
        "event": decided.event.value,
        "next": following.value,
        "actions": None if actions is None else [action.value for action in actions],
    }


def _span(heard: Sequence[Sound], longest_samples: int) -> Span:
    """Return what part of a timeline the sounds cover. One that jumps does not make an endless file."""
    end = heard[-1].end_sample
    start = max(heard[0].start_sample, end - longest_samples)
    return Span(start_sample=start, samples=max(1, end - start))


def _write_wav(file: IO[bytes], heard: Sequence[Sound], span: Span, over: threading.Event) -> None:
    """Write exactly the span: what is missing is silence, what comes twice is left out."""
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.setnframes(span.samples)
        position, end = span.start_sample, span.start_sample + span.samples
        for sound in heard:
            _check(over)
            if position <= sound.start_sample and sound.end_sample <= end:
                _write_silence(out, sound.start_sample - position)
                out.writeframesraw(_interleaved(sound))
                position = sound.end_sample
        _write_silence(out, end - position)


def _write_silence(out: wave.Wave_write, samples: int) -> None:
    for begin in range(0, samples, _SECOND):
        out.writeframesraw(bytes(4 * min(_SECOND, samples - begin)))


def _interleaved(sound: Sound) -> bytes:
    samples = np.zeros((sound.end_sample - sound.start_sample, 2), np.int16)
    samples[:, 0] = np.frombuffer(sound.microphone, np.int16)
    if sound.speaker:
        samples[:, 1] = np.frombuffer(sound.speaker, np.int16)
    return samples.tobytes()


def _check(over: threading.Event) -> None:
    if over.is_set():
        raise RecordingError("the recorder ended before all was written.")


def _read_archive(file: Path, opened: IO[bytes]) -> Recording:
    with ZipFile(opened) as archive:
        with _member(file, archive, LINES) as inside:
            recording = Recording(file, *parse_lines(file, _limited(file, inside)))
        sounds = {}
        for session, span in recording.header.audio.items():
            with _member(file, archive, _wav_name(session)) as inside:
                sounds[session] = _read_wav(file, inside, span)
    return replace(recording, sounds=sounds)


def _member(file: Path, archive: ZipFile, name: str) -> IO[bytes]:
    info = archive.getinfo(name)
    if info.compress_type != ZIP_STORED:  # so that it can't be larger than the archive
        raise RecordingError(f"{file}: {name} is compressed; take the file as it was saved.")
    return archive.open(info)


def _limited(file: Path, opened: IO[bytes]) -> bytes:
    text = opened.read(LONGEST_TEXT + 1)
    if len(text) > LONGEST_TEXT:
        raise RecordingError(f"{file}: there are more than {LONGEST_TEXT} bytes of lines; this is no recording.")
    return text


def _read_wav(file: Path, opened: IO[bytes], span: Span) -> Stereo:
    with wave.open(opened, "rb") as sound:
        form = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate(), sound.getnframes())
        if form != (2, 2, SAMPLE_RATE_HZ, span.samples) or span.samples > _LONGEST_SOUND_S * SAMPLE_RATE_HZ:
            raise RecordingError(f"{file}: a sound is not the one that the header tells of; save it again.")
        samples = np.frombuffer(sound.readframes(span.samples), np.int16)
    if len(samples) != 2 * span.samples:
        raise RecordingError(f"{file}: a sound is cut off; save it again.")
    stereo: Stereo = samples.reshape(-1, 2)
    return stereo


def _wav_name(session: str) -> str:
    return f"{session}.wav"
