"""The Wyoming protocol: single stages for Home Assistant and others, and satellites with a conversation of their own.

The protocol has no authentication and no encryption; see docs/wyoming.md for where that is acceptable.
"""
