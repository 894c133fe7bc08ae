"""Clips are said when their moments come, to the sample."""

from __future__ import annotations

import pytest

from tests.virtual_scenario import Act
from voicebot.audio import first_audible_sample, samples_from_ms
from voicebot.events import ReplyAudible, TurnCommitted, TurnEnded
from voicebot.replay import Performance

FIRST = "[[clip]]\nfile = 'hum.wav'\nsays = 'one'\nat_s = 1\n"
REPLY = "[scripted]\nreply = 'A reply that is long enough to be spoken over.'\n"


def starts_s(performance: Performance) -> list[float]:
    return [spoken.start_sample / 16_000 for spoken in performance.conversation.spoken]


def moment(performance: Performance, kind: type) -> int:
    """Return when an event of a kind happened first."""
    log = performance.conversation.log
    return next(getattr(event, "at_sample", at) for at, event in log if isinstance(event, kind))


def test_a_clip_is_said_at_its_time_whoever_else_speaks(act: Act) -> None:
    performance = act(f"{FIRST}[[clip]]\nfile = 'short.wav'\nat_s = 1.5\n{FIRST.replace('at_s = 1', 'at_s = 9')}")
    assert starts_s(performance) == [1, 1.5, 9]
    assert performance.unsaid == ()


@pytest.mark.parametrize(
    ("after", "event"), [("turn committed", TurnCommitted), ("reply starts", ReplyAudible), ("reply ends", TurnEnded)]
)
def test_a_clip_follows_what_happens(act: Act, after: str, event: type) -> None:
    performance = act(f"{REPLY}{FIRST}[[clip]]\nfile = 'short.wav'\nafter = '{after}'\ndelay_s = 0.4")
    _, second = performance.conversation.spoken
    assert second.start_sample == moment(performance, event) + samples_from_ms(400)


def test_a_clip_follows_the_last_voiced_sample_of_the_one_before(act: Act) -> None:
    performance = act(f"{FIRST}[[clip]]\nfile = 'short.wav'\nafter = 'previous clip ends'\ndelay_s = 0.25")
    first, second = performance.conversation.spoken
    assert second.start_sample == first.speech_end_sample + samples_from_ms(250)


def test_what_never_happens_is_not_waited_for(act: Act) -> None:
    performance = act(
        "[[clip]]\nfile = 'hum.wav'\nat_s = 1\n"  # nothing is said with it, so that nothing is answered
        "[[clip]]\nfile = 'short.wav'\nafter = 'reply starts'"
    )
    assert len(performance.conversation.spoken) == 1
    assert performance.unsaid == ("short.wav was not said: it waited for 'reply starts', which did not happen",)


def test_a_clip_is_repeated_at_each_of_its_moments_or_at_a_fixed_distance(act: Act) -> None:
    performance = act(f"{FIRST}[[clip]]\nfile = 'hum.wav'\nsays = 'two'\nafter = 'reply ends'\ndelay_s = 1\nrepeat = 2")
    assert [turn.user for turn in performance.conversation.ended] == ["one", "two", "two"]
    assert starts_s(act(f"{FIRST}repeat = 3\nevery_s = 4")) == [1, 5, 9]


def test_a_clip_is_repeated_until_the_time_is_over(act: Act) -> None:
    text = f"duration_s = 10\n{FIRST}repeat = 0\nevery_s = 4"
    assert starts_s(act(text)) == [1, 5, 9]
    assert starts_s(act(text, duration_s=15)) == [1, 5, 9, 13]


@pytest.mark.parametrize("length_s", [3, 7])
def test_it_lasts_as_long_as_it_says(act: Act, length_s: int) -> None:
    user, _ = act(f"duration_s = {length_s}").conversation.port.recording()
    assert len(user) / 16_000 == pytest.approx(length_s, abs=0.4)


def test_a_duration_is_only_for_scenarios_that_have_one(act: Act) -> None:
    user, _ = act(FIRST, duration_s=60).conversation.port.recording()
    assert len(user) / 16_000 < 10


def test_the_recording_has_the_clip_where_it_was_said(act: Act) -> None:
    performance = act(FIRST)
    user, _ = performance.conversation.port.recording()
    assert first_audible_sample(user) == pytest.approx(samples_from_ms(1100), abs=10)
