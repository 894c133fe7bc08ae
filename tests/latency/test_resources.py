"""What this process takes of the box."""

from __future__ import annotations

import os

from voicebot.latency.resources import Usage


def processor_time_s() -> float:
    times = os.times()
    return times.user + times.system


def test_nothing_is_counted_before_it_is_measured() -> None:
    usage = Usage()
    assert (usage.memory_mb, usage.cpu_s) == (0.0, 0.0)


def test_processor_time_counts_from_the_start_of_the_measurement() -> None:
    usage = Usage()
    begun_s = processor_time_s()
    while processor_time_s() < begun_s + 0.05:
        sum(range(10_000))
    usage.measure()
    assert 0.02 <= usage.cpu_s < processor_time_s()
    assert 5 < usage.memory_mb < 10_000
