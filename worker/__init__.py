"""The worker process: LLM in, tokens appended. It never imports `app` or a web framework."""
