"""A loaded GGUF: its weights, its vocabulary, and how it wants a conversation to be written."""

from __future__ import annotations

import codecs
import ctypes
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import llama_cpp
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from voicebot.engines.llama.tool_prompt import tell, template_tells, template_tools
from voicebot.engines.protocols import Message, Tool
from voicebot.errors import EngineError

_log = logging.getLogger(__name__)
_SENTENCE_ENDS: Final = (".", "?", "!")
_CHATML: Final = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
def _forward_log(level: int, text: bytes, user_data: object) -> None:
    """Take llama.cpp's own lines; it calls an abort on request an error, and a real failure raises here anyway."""
    del level, user_data
    _log.debug("%s", text.decode("utf-8", "replace").rstrip())


class Weights:
    """A model in memory, shared by all slots. Raises EngineError when the file is no usable model."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_log_set(_forward_log, None)
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self.handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise EngineError(
                f"llama.cpp can't load {path}; it is damaged or of a kind that this version doesn't know."
            )
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.handle)
        self.vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(self.vocabulary)
        self._template = self._load_template()
        self._piece = ctypes.create_string_buffer(256)

    def render(self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, reply: bool) -> str:
        """Return the conversation in the model's own format; `reply` opens the assistant's next message."""
        if not self._tells_tools:
            messages = tell(messages, tools)
        plain = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return str(
                self._template.render(
                    messages=plain,
                    tools=template_tools(tools) if self._tells_tools else None,
                    add_generation_prompt=reply,
                    bos_token="",
                    eos_token="",
                    enable_thinking=False,
                )
            )
        except TemplateError as error:
            raise EngineError(f"the model's chat template refuses this conversation ({error}).") from error

    def tokens(self, text: str, *, begin: bool = True) -> list[int]:
        """Return the tokens of rendered text, special ones included; `begin`: it opens the conversation."""
        raw = text.encode()
        room = len(raw) + 8
        buffer = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocabulary, raw, len(raw), buffer, room, begin, True)  # noqa: FBT003
        if count < 0:
            raise EngineError(f"the model's tokenizer needs {-count} tokens for {len(raw)} bytes; shorten the text.")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for; they may end inside a UTF-8 character."""
        length = llama_cpp.llama_token_to_piece(self.vocabulary, token, self._piece, len(self._piece), 0, False)  # noqa: FBT003
        return self._piece.raw[: max(0, length)]

    def ends_reply(self, token: int) -> bool:
        """Return whether the token says that the reply is over."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocabulary, token))

    def reply_ends(self) -> list[int]:
        """Return the model's own tokens for the end of a message and of everything, as far as it has them."""
        tokens = (llama_cpp.llama_vocab_eot(self.vocabulary), llama_cpp.llama_vocab_eos(self.vocabulary))
        return [token for token in tokens if token >= 0]

    def sentence_ends(self) -> list[int]:
        """Return the tokens that a sentence ends with: the signs, and the ends of the reply."""
        signs = [self.tokens(sign, begin=False)[0] for sign in _SENTENCE_ENDS]
        return sorted({*signs, *self.reply_ends()})

    def same_vocabulary(self, other: Weights) -> bool:
        """Return whether each token stands for the same text in both."""
        same_size = self.vocabulary_size == other.vocabulary_size
        return same_size and all(self.piece(token) == other.piece(token) for token in range(self.vocabulary_size))

    def close(self) -> None:
        """Free the weights. No slot may be in use."""
        llama_cpp.llama_model_free(self.handle)
        self.handle = None

    def _load_template(self) -> Any:  # noqa: ANN401
        raw = llama_cpp.llama_model_chat_template(self.handle, None)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        source = raw.decode() if raw else _CHATML
        try:
            self._tells_tools = template_tells(environment, source)
            return environment.from_string(source)
        except TemplateError as error:
            raise EngineError(f"the model's chat template is broken ({error}).") from error


class TextStream:
    """Turns the bytes of tokens into text, never splitting a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """Return the characters that are complete now."""
        return self._decoder.decode(piece)


def _refuse(message: str) -> None:
    raise TemplateError(message)
