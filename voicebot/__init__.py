"""A real-time voice assistant that runs fully offline on a small box."""

import os

__version__ = "0.1.0"

# From 1.29 on onnxruntime reports each session to its maker on Linux too, unless it finds this before it is loaded. No
# module of this package is imported before this one.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
