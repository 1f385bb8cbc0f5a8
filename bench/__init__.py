"""Benchmarks: what Tokentail costs beside the bare libraries it stands on, measured in one run (docs/performance.md).

The one rule: no figure without a limit from the same run, and every loop is bounded in count or time.
"""
