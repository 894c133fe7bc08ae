"""Phrases that were rendered once, kept on disk as audio: voice, text and settings in, 16 kHz mono int16 out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from voicebot.assistant.phrases import Speaks, render
from voicebot.audio import Pcm

_FORMAT: Final = 1
_DIGEST_BYTES: Final = 32


class PhraseCache:
    """A directory with a file for each phrase. A file that is missing or damaged is made again.

    `voice` says everything that the sound depends on: the model, its speed, its loudness.
    """

    def __init__(self, directory: Path, voice: Mapping[str, Any]) -> None:
        self._directory = directory
        self._voice = dict(voice)

    async def get(self, tts: Speaks, text: str) -> Pcm:
        """Return the phrase, rendered if it is not there yet. Raises what `tts` raises.

        Where the directory can't be written to, the phrase is rendered each time.
        """
        path = self._path(text)
        known = await asyncio.to_thread(_read, path)
        if known is not None:
            return known
        pcm = await render(tts, text)
        await asyncio.to_thread(_write, path, pcm)
        return pcm

    def _path(self, text: str) -> Path:
        key = json.dumps([_FORMAT, text, self._voice], sort_keys=True, default=str)
        return self._directory / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.pcm"


def _read(path: Path) -> Pcm | None:
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        digest, samples = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(samples).digest() == digest:
            return np.frombuffer(samples, np.int16)
    return None


def _write(path: Path, pcm: Pcm) -> None:
    """Write a digest and the samples, so that whatever happens to the file is noticed."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(pcm.tobytes()).digest() + pcm.tobytes())
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
