"""One conversation, from microphone to speaker: listen, recognize, respond, speak, play, under a session."""
