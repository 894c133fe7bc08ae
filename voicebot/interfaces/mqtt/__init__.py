"""MQTT: tells a broker what happens, takes commands from it, and makes the box known to Home Assistant."""
