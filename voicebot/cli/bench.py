"""`voicebot bench`."""

import typer

app = typer.Typer()
