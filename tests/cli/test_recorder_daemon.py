"""The flight recorder of a real daemon: switched on by a reload, asked, and switched off again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.test_run import daemon
from voicebot.errors import VoicebotError
from voicebot.interfaces.control_client import ControlClient
from voicebot.interfaces.recorder.file import read_recording
from voicebot.interfaces.recorder.table_check import check_table


def test_it_records_while_it_is_on(tmp_path: Path) -> None:
    alone = dict(os.environ) | {"PULSE_SERVER": f"unix:{tmp_path}/none"}
    with daemon(tmp_path, alone, "--pipeline", "scripted") as running:
        running.told("READY=1")
        assert "recorder" not in running.status()
        assert not (tmp_path / "state/voicebot/recordings").exists()

        running.configure(recorder={"enabled": True, "audio": True})
        running.process.send_signal(signal.SIGHUP)
        running.told("RELOADING=1")
        running.told("READY=1")
        assert running.status()["recorder"]["audio"]
        running.ask("mute")
        saved = Path(running.ask("recorder", "save")["file"])
        assert saved.parent == tmp_path / "state/voicebot/recordings"
        assert saved.stat().st_mode & 0o777 == 0o600
        recording = read_recording(saved)
        assert "muted" in [
            record.event["state"] for record in recording.records if record.event and "state" in record.event
        ]
        assert check_table(recording).differences == []

        running.configure()
        running.process.send_signal(signal.SIGHUP)
        running.told("RELOADING=1")
        running.told("READY=1")
        assert "recorder" not in running.status()
        with ControlClient.connect(running.env) as client, pytest.raises(VoicebotError, match="nothing is recorded"):
            client.request("save_recording")
        log = running.end()
        assert "the latest 10 minutes are recorded, with sound" in log
        assert str(saved) in log
        assert saved.exists(), "until it is too old"
