"""Calls to providers: HTTP, framing and failures. Dialects stand on it."""
