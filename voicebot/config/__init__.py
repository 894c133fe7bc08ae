"""Settings: what a conversation does (pipelines/*.toml) and what a box is (config/*.toml)."""
