"""`python -m voicebot` is the same as `voicebot`."""

from voicebot.cli import main

if __name__ == "__main__":
    main()
