"""The flight recorder: the latest minutes, in memory, and written where somebody asks for them. docs/recorder.md."""
