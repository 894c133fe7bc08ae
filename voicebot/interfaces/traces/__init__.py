"""Traces: what each turn took, told to an OpenTelemetry collector."""
