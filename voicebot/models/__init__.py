"""Models: what exists, where it comes from, what it needs, and the files of those that are installed."""
