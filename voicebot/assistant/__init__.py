"""What the assistant remembers and how it words things; nothing here knows about audio devices or processes."""
