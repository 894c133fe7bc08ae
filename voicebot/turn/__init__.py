"""Turn-taking, pure: no clock, no I/O, no asyncio."""
