"""Talking for real: a question is played into a microphone, and the answer recorded at the speaker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.virtual_sound_card import MICROPHONE, SPEAKER, VirtualSoundCard
from voicebot.audio import SAMPLE_RATE_HZ, first_audible_sample, level_dbfs
from voicebot.audio_io.wav import read_wav

FIXTURES = Path("fixtures")
INTO_REPLY_S = 3.0
"""The reply to the long question begins well within it, and lasts more than four times as long."""


@contextmanager
def talking(card: VirtualSoundCard, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run `voicebot talk` on the card, ready to listen; it is ended with the block."""
    command = [sys.executable, "-m", "voicebot", "talk", "--input", MICROPHONE, "--output", SPEAKER, "--json", *options]
    process = subprocess.Popen(command, env=card.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "Listening" in line:
                break
        else:
            raise AssertionError(f"voicebot talk ended with {process.wait()}")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_question_is_answered_aloud(sound_card: VirtualSoundCard) -> None:
    question = FIXTURES / "questions" / "capital-of-france.wav"
    with talking(sound_card, "--turns", "1") as process, sound_card.listen() as heard:
        sound_card.speak(question)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    (turn,) = json.loads(out)["turns"]
    assert "capital of france" in turn["user"].lower()
    assert turn["heard"] == turn["reply"] != ""
    begins = first_audible_sample(heard.pcm)
    assert begins is not None, "nothing was heard at the speaker"
    # The reply comes after the question, and lasts about as long as its words take.
    assert begins > len(read_wav(question)) / 2
    spoken_s = float(np.count_nonzero(np.abs(heard.pcm) > 300)) / SAMPLE_RATE_HZ
    assert spoken_s > 0.05 * len(turn["reply"].split())
    assert level_dbfs(heard.pcm[begins : begins + SAMPLE_RATE_HZ]) > -40


def test_an_interrupted_reply_stops(sound_card: VirtualSoundCard) -> None:
    with talking(sound_card, "--turns", "2") as process, sound_card.listen() as heard:
        sound_card.speak(FIXTURES / "clips" / "long-story.wav")
        time.sleep(INTO_REPLY_S)
        sound_card.speak(FIXTURES / "clips" / "wait-spain.wav")
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    first, second = json.loads(out)["turns"]
    assert len(first["heard"]) < len(first["reply"]), "the reply was heard to its end"
    assert "spain" in second["user"].lower()
    assert len(heard.pcm) > 0


def test_ctrl_c_ends_it_cleanly(sound_card: VirtualSoundCard) -> None:
    with talking(sound_card) as process:
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert json.loads(out) == {"turns": []}
    assert "Traceback" not in errors
