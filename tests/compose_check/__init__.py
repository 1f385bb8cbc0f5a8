"""`make compose-check`: the Compose projects on a real Docker engine, under load, hurt and updated, outside CI.

It needs `docker` with Compose and an engine that it reaches. Without one, and as root on Debian, it starts an engine of
its own in a network namespace (`own_engine.py`), with base images made from Debian's packages (`base_images.py`).
"""
