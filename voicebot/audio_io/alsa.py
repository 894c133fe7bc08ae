"""Whether ALSA's configuration is one that PortAudio survives.

PortAudio 19 lists the devices that the cards and ALSA's configuration name, "default" and "dmix" after all others, and
asserts before these two that fewer devices were listed than names found (BuildDeviceList in pa_linux_alsa.c). Without
either of them, as with an empty configuration, that is false, and the whole process is aborted.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from voicebot.errors import AudioDeviceError

_LIBRARY: Final = "libasound.so.2"
_LISTED_LAST: Final = (b"pcm.default", b"pcm.dmix")


def check_alsa() -> None:
    """Raise AudioDeviceError where PortAudio would abort, or ALSA can't read its configuration.

    To be called before PortAudio is initialised. ALSA reads the files once, which PortAudio need not do then, and again
    when they have changed.
    """
    try:
        alsa = ctypes.CDLL(_LIBRARY)
    except OSError:
        return  # PortAudio does without it as well, or does not load
    top, found = ctypes.c_void_p(), ctypes.c_void_p()
    error = alsa.snd_config_update_ref(ctypes.byref(top))
    if error < 0:
        raise AudioDeviceError(f"ALSA's configuration can't be read ({os.strerror(-error)}); {_mend()}")
    try:
        if all(alsa.snd_config_search(top, name, ctypes.byref(found)) < 0 for name in _LISTED_LAST):
            raise AudioDeviceError(f"ALSA's configuration has no default device; {_mend()}")
    finally:
        alsa.snd_config_unref(top)


def _mend() -> str:
    named = os.environ.get("ALSA_CONFIG_PATH")
    if named:
        return f"correct what ALSA_CONFIG_PATH names ({named}), or unset it."
    return "correct /etc/asound.conf, or apt-get install --reinstall libasound2-data."
