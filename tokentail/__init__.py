"""Tokentail's shared core: what the web process and the worker both stand on. It never imports `app` or `worker`."""

__version__ = "0.1.0"
