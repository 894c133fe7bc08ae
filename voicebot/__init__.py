"""A real-time voice assistant that runs fully offline on a small box."""

__version__ = "0.1.0"
