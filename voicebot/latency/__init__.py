"""The latency budget: when things happened in a turn, what each stage took, and what was too late."""
