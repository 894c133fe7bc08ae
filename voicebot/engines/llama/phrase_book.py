"""The assistant's own sentences, which it is likely to say again: drafts for speculative decoding."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_OFTEN: Final = 3
"""Only what was said in so many replies is written to disk: what is said once may be personal."""
_LEAST_WORDS: Final = 3
"""A shorter sentence is over before a draft of it could begin."""


class PhraseBook:
    """Sentences of finished replies, those said longest ago forgotten first. Shared by all sessions.

    Those said often are kept in a file, which is written when one joins them; with no `path` nothing is kept. A file
    that can't be read or written costs one line of the log.
    """

    def __init__(self, path: Path | None, most_sentences: int = 2000) -> None:
        self._path = path
        self._most = most_sentences
        self._replies: OrderedDict[str, int] = OrderedDict()
        self._replies.update((sentence, _OFTEN) for sentence in self._read()[-most_sentences:])

    def sentences(self) -> tuple[str, ...]:
        """Return all sentences, the one said last at the end."""
        return tuple(self._replies)

    def add(self, text: str) -> tuple[str, ...]:
        """Remember a finished reply's sentences; returns those that the book did not have."""
        found = [sentence.strip() for sentence in _SENTENCE_END.split(text)]
        said = dict.fromkeys(sentence for sentence in found if len(sentence.split()) >= _LEAST_WORDS)
        new = tuple(sentence for sentence in said if sentence not in self._replies)
        for sentence in said:
            self._replies[sentence] = self._replies.get(sentence, 0) + 1
            self._replies.move_to_end(sentence)
        while len(self._replies) > self._most:
            self._replies.popitem(last=False)
        if any(self._replies.get(sentence) == _OFTEN for sentence in said):
            self._write()
        return new

    def _read(self) -> list[str]:
        if self._path is None:
            return []
        try:
            sentences = json.loads(self._path.read_text("utf-8"))["sentences"]
            if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
                raise TypeError("no list of sentences")  # noqa: TRY301 - damaged like the rest
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s: the phrase book is damaged (%s); starting with an empty one", self._path, error)
            return []
        return sentences

    def _write(self) -> None:
        """Replace the file whole; readable by its owner only."""
        if self._path is None:
            return
        often = [sentence for sentence, replies in self._replies.items() if replies >= _OFTEN]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            try:
                with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is open already
                    json.dump({"sentences": often}, file, ensure_ascii=False, indent=1)
                os.replace(name, self._path)  # noqa: PTH105 - the one call that replaces atomically
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            _log.warning("%s: the phrase book can't be written (%s)", self._path, error)
