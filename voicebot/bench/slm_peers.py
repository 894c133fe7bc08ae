"""Our engine against llama-cpp-python's own `Llama`, plain and with prompt lookup: same model, threads and messages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from llama_cpp import Llama
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.protocols import Message, Piece, SlmRequest
from voicebot.errors import EngineError
from voicebot.workers.flags import CancelFlags

Speaker = Callable[[tuple[Message, ...], int], Iterator[str]]
"""Answers a conversation with a reply of at most so many tokens, piece by piece."""

_LIST: Final = "My shopping list is milk, bread, butter, eggs, apples, rice and coffee. "
_PROMPTS: Final[tuple[tuple[str, ...], ...]] = (
    # open chat
    ("What is the capital of France?",),
    ("Tell me a fun fact about the moon.",),
    ("How do I boil an egg?",),
    ("Why is the sky blue?",),
    ("What should I wear when it snows?",),
    # quoting
    (_LIST + "Read my shopping list back to me.",),
    ("Repeat this sentence: The quick brown fox jumps over the lazy dog near the old stone bridge.",),
    ("Remind me to call Doctor Miller about the blood test on Monday at nine. What is the reminder?",),
    (_LIST + "Thank you.", "Please say my whole shopping list again."),
    # more turns
    ("Who was Napoleon?", "Where was he born?"),
    ("Name three colors.", "Which of them is the warmest?", "And the coldest?"),
    ("I am tired today.", "What could I do this evening?", "Something quieter, please."),
    ("How far away is the sun?", "And the moon?", "Which one is bigger?", "Why do they look the same size?"),
)
_GREETING: Final = "Hello."
"""What was answered before a conversation with a single turn: the system prompt is known then."""
_LOOKED_UP: Final = 2
"""What llama-cpp-python's read-me advises for a machine without a GPU."""


@dataclass(frozen=True, slots=True)
class Run:
    """One reply."""

    first_ms: float
    tokens_per_s: float
    """After the first; 0 where there is no second."""
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs of the same prompt, one after the other."""

    ours: Run
    theirs: Run

    @property
    def first(self) -> float:
        """How many times faster our first token is."""
        return self.theirs.first_ms / self.ours.first_ms

    @property
    def rate(self) -> float | None:
        """How many times more tokens a second are ours; None where either said a single token."""
        return self.ours.tokens_per_s / self.theirs.tokens_per_s if self.theirs.tokens_per_s else None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is asked, and what has been answered just before."""

    before: tuple[Message, ...]
    asked: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question and its runs."""

    question: str
    pairs: Sequence[Pair]


def compare_peers(
    model: Path, settings: SlmSettings, threads: tuple[int, int], *, pairs: int, tokens: int, flash: bool
) -> dict[str, Any]:
    """Return first tokens and rates of all prompts, by peer. `threads`: for decoding, for reading."""
    settings = settings.model_copy(update={"temperature": 0.0})
    result = {}
    with closing(Ours(model, settings, threads)) as ours:
        conversations = [_conversation(ours.say, settings, prompt, tokens) for prompt in _PROMPTS]
        for name, lookup in (("llama_cpp", False), ("prompt_lookup", True)):
            with closing(Theirs(model, settings, threads, lookup=lookup, flash=flash)) as theirs:
                result[name] = report(
                    [
                        Prompt(each.asked[-1].content, paired(ours.say, theirs.say, each, pairs, tokens))
                        for each in conversations
                    ]
                )
    return result


class Ours:
    """Our engine, with one session."""

    def __init__(self, model: Path, settings: SlmSettings, threads: tuple[int, int]) -> None:
        self._engine = LlamaEngine(model, settings, *threads)
        # A prompt is asked again and again here, and the second reply would be quoted from the first.
        self._engine.speculation.remember = _forget  # type: ignore[method-assign]
        self._flags = CancelFlags.create()
        self._rest()

    def say(self, messages: tuple[Message, ...], tokens: int) -> Iterator[str]:
        """Yield the reply as it comes."""
        answer = self._engine.submit(SlmRequest("generate", messages, max_tokens=tokens), self._flags.own)
        text = ""
        while not answer.ended:
            self._engine.step()
            while answer.items:
                item = answer.items.popleft()
                if isinstance(item, Piece):
                    text += item.text
                    yield item.text
        if answer.error is not None:
            raise answer.error
        self._prepare((*messages, Message("assistant", text)))
        self._rest()

    def _prepare(self, messages: tuple[Message, ...]) -> None:
        """Read the conversation up to where the next words begin, as a session does while the reply is played."""
        answer = self._engine.submit(SlmRequest("prefill", messages), self._flags.own)
        while not answer.ended:
            self._engine.step()

    def _rest(self) -> None:
        """Let it measure what a step costs here, as a worker does while nobody asks."""
        while self._engine.rest():
            pass

    def close(self) -> None:
        """Free all memory."""
        self._engine.close()
        self._flags.close()


def _forget(tokens: Sequence[int], text: str) -> None:
    del tokens, text


class Theirs:
    """`Llama`, with the same model, threads, context, batch and sampling; `lookup`: with prompt lookup decoding."""

    def __init__(
        self, model: Path, settings: SlmSettings, threads: tuple[int, int], *, lookup: bool, flash: bool
    ) -> None:
        self._settings = settings
        self._llama = Llama(
            str(model),
            n_ctx=settings.context_tokens,
            n_threads=threads[0],
            n_threads_batch=threads[1],
            last_n_tokens_size=settings.repeat_last_tokens,
            draft_model=LlamaPromptLookupDecoding(num_pred_tokens=_LOOKED_UP) if lookup else None,
            logits_all=lookup,
            flash_attn=flash,
            verbose=False,
        )

    def say(self, messages: tuple[Message, ...], tokens: int) -> Iterator[str]:
        """Yield the reply as it comes."""
        chunks = self._llama.create_chat_completion(
            [{"role": message.role, "content": message.content} for message in messages],
            max_tokens=tokens,
            temperature=0.0,
            repeat_penalty=self._settings.repeat_penalty,
            stream=True,
        )
        for chunk in chunks:
            if text := chunk["choices"][0]["delta"].get("content"):
                yield text

    def close(self) -> None:
        """Free all memory."""
        self._llama.close()


def timed(pieces: Iterator[str]) -> Run:
    """Return a reply and its times; the rate is counted from the first piece to the last."""
    began_s = time.perf_counter()
    texts, times_s = [], []
    for piece in pieces:
        times_s.append(time.perf_counter())
        texts.append(piece)
    if not times_s:
        raise EngineError("a reply was empty.")
    spoken_s = times_s[-1] - times_s[0]
    return Run((times_s[0] - began_s) * 1000, (len(texts) - 1) / spoken_s if spoken_s else 0.0, "".join(texts))


def paired(ours: Speaker, theirs: Speaker, conversation: Conversation, count: int, tokens: int) -> list[Pair]:
    """Return so many pairs of runs, which of the two comes first in turn; each has just answered the turn before."""
    pairs = []
    for number in range(count):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        runs = []
        for speaker in order:
            for _ in speaker(conversation.before, tokens):
                pass
            runs.append(timed(speaker(conversation.asked, tokens)))
        pairs.append(Pair(*(runs if number % 2 == 0 else reversed(runs))))
    return pairs


def report(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Return the medians of each prompt's pairs, and the medians and the least over the prompts' medians."""
    rows = {f"{number:2} {prompt.question[:32]}": _row(prompt.pairs) for number, prompt in enumerate(prompts, 1)}
    first = [row["first_ratio"] for row in rows.values()]
    rate = [row["rate_ratio"] for row in rows.values() if row["rate_ratio"] is not None]
    return {
        "prompts": rows,
        "first_ratio": {"median": statistics.median(first), "least": min(first)},
        "rate_ratio": {"median": statistics.median(rate), "least": min(rate)},
        "same_texts": sum(row["same_text"] for row in rows.values()),
    }


def _row(pairs: Sequence[Pair]) -> dict[str, Any]:
    rates = [pair.rate for pair in pairs if pair.rate is not None]
    return {
        "first_ms": [round(statistics.median(run.first_ms for run in runs), 1) for runs in _columns(pairs)],
        "first_ratio": round(statistics.median(pair.first for pair in pairs), 2),
        "tokens_per_s": [round(statistics.median(run.tokens_per_s for run in runs), 1) for runs in _columns(pairs)],
        "rate_ratio": round(statistics.median(rates), 2) if rates else None,
        "same_text": all(pair.ours.text.startswith(pair.theirs.text) for pair in pairs),
    }


def _columns(pairs: Sequence[Pair]) -> tuple[list[Run], list[Run]]:
    return [pair.ours for pair in pairs], [pair.theirs for pair in pairs]


def failures(result: dict[str, Any], least: float) -> list[str]:
    """Return in sentences where we are slower; empty when nowhere."""
    return [
        f"{what} against {peer}: {ratios['median']} in the median, {ratios['least']} at least."
        for peer, figures in result.items()
        for what in ("first_ratio", "rate_ratio")
        if (ratios := figures[what])["median"] <= 1 or ratios["least"] < least
    ]


def _conversation(ours: Speaker, settings: SlmSettings, prompt: Sequence[str], tokens: int) -> Conversation:
    """Return a conversation with our own replies in it."""
    before: tuple[Message, ...] = ()
    messages: tuple[Message, ...] = (Message("system", settings.system_prompt),)
    greeted = (*messages, Message("user", _GREETING))
    for text in prompt[:-1]:
        before = (*messages, Message("user", text))
        messages = (*before, Message("assistant", "".join(ours(before, tokens))))
    return Conversation(before or greeted, (*messages, Message("user", prompt[-1])))
