"""A phrase is rendered once; a file that can't be read or written only means that it is rendered again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicebot.assistant.phrase_cache import PhraseCache
from voicebot.engines.protocols import Speech
from voicebot.errors import EngineError

VOICE = {"model": "joe", "speed": 1.0}


@dataclass
class Speaker:
    """Says a sample for each letter, and keeps what it was asked."""

    fails: bool = False
    asked: list[str] = field(default_factory=list)

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        assert first
        self.asked.append(text)
        if self.fails:
            raise EngineError("no voice")
        yield Speech(np.frombuffer(text.encode(), np.uint8).astype(np.int16))


async def say(cache: PhraseCache, speaker: Speaker, text: str = "Let me see.") -> str:
    pcm = await cache.get(speaker, text)
    assert pcm.dtype == np.int16
    return pcm.astype(np.uint8).tobytes().decode()


async def test_a_phrase_is_rendered_once_also_by_the_next_process(tmp_path: Path) -> None:
    speaker = Speaker()
    for _ in range(2):
        cache = PhraseCache(tmp_path / "phrases", VOICE)
        for _ in range(2):
            assert await say(cache, speaker) == "Let me see."
    assert speaker.asked == ["Let me see."]


@pytest.mark.parametrize(
    ("voice", "text"),
    [
        (VOICE, "Well."),
        ({**VOICE, "speed": 1.1}, "Let me see."),
        ({**VOICE, "speaker": 0}, "Let me see."),
        ({}, "Well."),
    ],
)
async def test_another_text_or_voice_is_another_phrase(tmp_path: Path, voice: dict[str, Any], text: str) -> None:
    speaker = Speaker()
    await say(PhraseCache(tmp_path, VOICE), speaker)
    assert await say(PhraseCache(tmp_path, voice), speaker, text) == text
    assert speaker.asked == ["Let me see.", text]
    assert len(files(tmp_path)) == 2


async def test_the_order_of_a_voices_settings_does_not_matter(tmp_path: Path) -> None:
    speaker = Speaker()
    await say(PhraseCache(tmp_path, VOICE), speaker)
    await say(PhraseCache(tmp_path, dict(reversed(VOICE.items()))), speaker)
    assert len(speaker.asked) == 1


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:0],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + content[-2:],
        lambda content: bytes(len(content)),
        lambda content: bytes(7) + content,
    ],
    ids=["empty", "half", "cut", "longer", "zeros", "shifted"],
)
async def test_a_damaged_file_is_made_again(tmp_path: Path, damage: Damage) -> None:
    speaker = Speaker()
    cache = PhraseCache(tmp_path, VOICE)
    await say(cache, speaker)
    (file,) = files(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert await say(cache, speaker) == "Let me see."
    assert await say(cache, speaker) == "Let me see."
    assert len(speaker.asked) == 2


@given(content=st.binary(max_size=80))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_in_the_file_the_phrase_comes_out(tmp_path: Path, content: bytes) -> None:
    cache = PhraseCache(tmp_path, VOICE)
    await say(cache, Speaker())
    (file,) = files(tmp_path)
    file.write_bytes(content)
    assert await say(cache, Speaker()) == "Let me see."


async def test_where_nothing_can_be_kept_a_phrase_is_rendered_each_time(tmp_path: Path) -> None:
    (tmp_path / "phrases").write_text("a file, and no directory")
    speaker = Speaker()
    cache = PhraseCache(tmp_path / "phrases", VOICE)
    assert [await say(cache, speaker) for _ in range(2)] == ["Let me see."] * 2
    assert len(speaker.asked) == 2


async def test_a_file_that_is_a_directory_is_left_alone(tmp_path: Path) -> None:
    speaker = Speaker()
    cache = PhraseCache(tmp_path, VOICE)
    await say(cache, speaker)
    (file,) = files(tmp_path)
    file.unlink()
    file.mkdir()
    assert await say(cache, speaker) == "Let me see."
    assert files(tmp_path) == [file]


async def test_an_engine_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no voice"):
        await say(PhraseCache(tmp_path, VOICE), Speaker(fails=True))
    assert files(tmp_path) == []
