"""The language model on llama.cpp's low-level API: weights, the slot of a conversation, sampling, and the engine."""
