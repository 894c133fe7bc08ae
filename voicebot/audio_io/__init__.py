"""Where sound enters and leaves: sound devices, WAV files, and the buffer between the pipeline and a speaker."""
