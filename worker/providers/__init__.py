"""Providers: who answers a request, each in one file, all of them pure. `registry.py` lists them."""
