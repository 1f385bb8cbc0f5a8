"""The web process: HTTP in, tokens out. It never imports `worker` and never calls an LLM."""
