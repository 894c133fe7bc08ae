"""What can go wrong, as a flat list.

Every message is one sentence that says what to do. Errors of libraries are turned into one of these at the edge
where they appear, with the cause kept.
"""

from __future__ import annotations


class VoicebotError(Exception):
    """Something failed that the user can do something about. The command exits with 1."""

    exit_code = 1


class UsageError(VoicebotError):
    """Wrong arguments, names or settings. The command exits with 2."""

    exit_code = 2


class ConfigError(UsageError):
    """One or more settings are wrong; the message lists all of them, with file and key."""


class AudioFileError(VoicebotError):
    """An audio file is missing, empty, damaged or no audio at all."""


class AudioDeviceError(VoicebotError):
    """A microphone or speaker is missing or refused to work."""


class ModelError(VoicebotError):
    """A model is missing, damaged, or does not fit into memory."""


class DownloadError(VoicebotError):
    """A model could not be fetched, or what came is not what was promised."""


class EngineError(VoicebotError):
    """An engine refused to load or failed at its work."""


class WorkerDiedError(VoicebotError):
    """The process that hosted an engine is gone; it is being replaced."""


class CancelledWorkError(VoicebotError):
    """The work was cancelled on request. It reaches nobody but whoever cancelled it."""


class IllegalEventError(VoicebotError):
    """An event that the turn machine does not allow in its state; the state is unchanged."""


def first_error(group: BaseExceptionGroup[VoicebotError]) -> VoicebotError:
    """Return the first error inside a group of errors, however deep it is nested."""
    first = group.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first
