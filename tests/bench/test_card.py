"""The card keeps time: it gives what it hears block by block, and counts what nobody fetched."""

from __future__ import annotations

import threading
import time

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, samples_from_ms
from voicebot.audio_io.devices import Exchange
from voicebot.bench.card import Card
from voicebot.engines.scripted import hum

BLOCK_MS = 20


def heard_by(card: Card, blocks: int, on_block: threading.Event | None = None, late_s: float = 0.0) -> Exchange:
    """Let the card run for so many blocks; the first one is taken `late_s` too late."""
    enough = threading.Event()

    def count() -> None:
        if late_s and exchange.latest[0] == 1:
            time.sleep(late_s)
        if exchange.latest[0] >= blocks:
            enough.set()

    exchange = Exchange(blocks * 100, count)
    stream = card.open(None, None, BLOCK_MS, exchange, (on_block or threading.Event()).set)
    assert enough.wait(60)
    stream.close()
    return exchange


def test_its_microphone_hears_the_clips_over_and_over_with_pauses() -> None:
    clip = hum(samples_from_ms(3 * BLOCK_MS))
    card, ended = Card([clip], 2 * BLOCK_MS / 1000), threading.Event()
    exchange = heard_by(card, 12, ended)
    assert ended.is_set()
    levels = [np.abs(np.frombuffer(pcm, np.int16)).max() > 100 for _, pcm in exchange.captured]
    if card.lost_blocks == 0:
        assert levels[:10] == 2 * [True, True, True, False, False]
    assert {len(pcm) for _, pcm in exchange.captured} == {2 * card.blocksize}
    assert {rate_hz * BLOCK_MS // 1000 for rate_hz in card.rates_hz} == {card.blocksize}


def test_who_comes_too_late_has_lost_blocks() -> None:
    card = Card([hum(SAMPLE_RATE_HZ)], 0.1)
    exchange = heard_by(card, 5, late_s=10.5 * BLOCK_MS / 1000)
    assert card.lost_blocks >= 9
    assert exchange.xruns >= 1
    assert card.blocks >= 5 + card.lost_blocks
    assert card.latest_ms >= 9 * BLOCK_MS
