"""Chaos: real processes under real faults, and a checker of everything that any client was ever told.

`python -m tests.acceptance.chaos --seconds 600` (or `make chaos SECONDS=600`) runs it for as long as asked;
`test_chaos.py` injures the deployment once with each fault. Every choice is drawn from one seed, which is printed.
"""
