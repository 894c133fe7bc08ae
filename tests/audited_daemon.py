"""`voicebot`, with a note of every address that a socket of Python's is given and every name that is looked up.

python -m tests.audited_daemon NOTES ARGUMENT...: NOTES is the file that gets a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
from typing import Any, Final

_ADDRESSED: Final = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_LOOKED_UP: Final = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


def main(notes_file: str, *arguments: str) -> None:
    """Run it."""
    notes = os.open(notes_file, os.O_WRONLY | os.O_APPEND)

    def note(event: str, values: tuple[Any, ...]) -> None:
        if event in _ADDRESSED and values[0].family != socket.AF_UNIX:
            os.write(notes, f"{json.dumps([event, *values[1][:2]], default=repr)}\n".encode())
        elif event in _LOOKED_UP:
            os.write(notes, f"{json.dumps([event, *values[:2]], default=repr)}\n".encode())

    sys.addaudithook(note)
    sys.argv[:] = ["voicebot", *arguments]
    runpy.run_module("voicebot", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
