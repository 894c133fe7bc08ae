"""The serving engine of the language model, measured inside this process with the pipeline's settings."""
