"""The web page: what the assistant does, live, a few switches, and a conversation through the browser's microphone."""
