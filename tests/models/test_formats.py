from __future__ import annotations

import re

from voicebot.models.formats import Format, formats

Q4_0, Q8_0, Q4_K, IQ4_NL = 2, 8, 12, 20


def type_of(form: Format, tensor: str) -> int | None:
    """Return the type of the first pattern that matches, as llama.cpp looks them up."""
    return next((kind for pattern, kind in form.overrides if re.search(pattern, tensor)), None)


def test_every_format_has_its_own_name() -> None:
    names = [form.name for form in formats(30)]
    assert len(set(names)) == len(names)


def test_a_mix_is_of_the_matrices_that_it_names() -> None:
    known = {form.name: form for form in formats(30)}
    mix = known["Q8_0, early gate+up IQ4_NL, down Q4_K"]
    assert type_of(mix, "blk.23.ffn_gate.weight") == IQ4_NL
    assert type_of(mix, "blk.24.ffn_gate.weight") == Q8_0
    assert type_of(mix, "blk.3.ffn_up.weight") == IQ4_NL
    assert type_of(mix, "blk.29.ffn_up.weight") == Q8_0
    assert type_of(mix, "blk.29.ffn_down.weight") == Q4_K
    assert type_of(known["Q4_0, down Q8_0"], "blk.1.ffn_down.weight") == Q8_0
    assert type_of(known["Q4_0, down Q8_0"], "blk.1.attn_q.weight") == Q4_0


def test_what_is_named_nowhere_stays_in_eight_bits() -> None:
    for form in formats(30):
        assert type_of(form, "token_embd.weight") is None
        assert type_of(form, "output.weight") is None


def test_a_model_of_few_layers_has_no_last_ones() -> None:
    mix = formats(4)[3]
    assert {type_of(mix, f"blk.{layer}.ffn_up.weight") for layer in range(4)} == {IQ4_NL}
