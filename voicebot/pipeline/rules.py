"""From the pipeline file's sections to what the pure parts of turn-taking are handed."""

from __future__ import annotations

from collections.abc import Sequence

from voicebot.config.pipeline import BargeInSettings, ClauseSettings, EndpointSettings, SpeculationSettings
from voicebot.turn.activity import ActivityRules
from voicebot.turn.barge_in import BargeInRules
from voicebot.turn.chunker import ClauseRules
from voicebot.turn.eagerness import EagernessRules
from voicebot.turn.endpoint import EndpointRules
from voicebot.turn.wording import phrases


def activity_rules(settings: EndpointSettings, speculation: SpeculationSettings) -> ActivityRules:
    """Return the rules of voice activity."""
    return ActivityRules(
        sign_probability=settings.sign_probability,
        speech_probability=settings.speech_probability,
        silence_probability=settings.silence_probability,
        echo_probability=settings.echo_probability,
        silence_drop_db=settings.silence_drop_db,
        onset_ms=settings.onset_ms,
        confirm_ms=settings.confirm_ms,
        soft_end_ms=speculation.soft_end_ms,
        longest_silence_ms=settings.ceiling_ms,
        longest_turn_ms=settings.longest_turn_ms,
    )


def barge_in_rules(settings: BargeInSettings) -> BargeInRules:
    """Return the rules of barge-in."""
    return BargeInRules(
        commands=phrases(settings.commands),
        openings=phrases(settings.openings),
        backchannels=phrases(settings.backchannels),
        sure_ms=settings.sure_ms,
        doubtful_logprob=settings.doubtful_logprob,
        certain_logprob=settings.certain_logprob,
        sensible_text_end=settings.sensible_text_end,
        wordless_ms=settings.wordless_ms,
        echo_share=settings.echo_share,
    )


def clause_rules(settings: ClauseSettings, endpoint: EndpointSettings) -> ClauseRules:
    """Return the rules of clauses; no reply ends with what no request ends with."""
    return ClauseRules(**settings.model_dump(), open_words=phrases(endpoint.open_words))


def eagerness_rules(settings: SpeculationSettings) -> EagernessRules:
    """Return the rules of speculation."""
    return EagernessRules(settings.soft_end_ms, settings.latest_soft_end_ms, settings.wasted_share)


def endpoint_rules(settings: EndpointSettings, commands: Sequence[str] = ()) -> EndpointRules:
    """Return the rules of the end of a turn. `commands`: what is not answered when it is said alone."""
    return EndpointRules(
        floor_ms=settings.floor_ms,
        doubt_ms=settings.doubt_ms,
        answer_ms=settings.answer_ms,
        answer_logprob=settings.answer_logprob,
        unknown_ms=settings.unknown_ms,
        dictation_ms=settings.dictation_ms,
        ceiling_ms=settings.ceiling_ms,
        sure_odds=settings.sure_odds,
        doubt_odds=settings.doubt_odds,
        open_odds=settings.open_odds,
        bias=settings.bias,
        text_weight=settings.text_weight,
        certainty_weight=settings.certainty_weight,
        length_weight=settings.length_weight,
        sign_weight=settings.sign_weight,
        voice_weight=settings.voice_weight,
        pitch_weight=settings.pitch_weight,
        level_weight=settings.level_weight,
        change_weight=settings.change_weight,
        voice_unheard=settings.voice_unheard,
        open_words=phrases(settings.open_words),
        stranded_end=settings.stranded_end,
        digits=phrases(settings.digits),
        answers=phrases(settings.answers),
        commands=phrases(commands),
    )
