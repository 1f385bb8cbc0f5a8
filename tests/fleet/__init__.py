"""Real processes on a store of many nodes, and what readers and clients notice of each fault.

`python -m tests.fleet --store sentinel --minutes 10` (`make chaos-fleet STORE=sentinel MINUTES=10`) prints a table:
fault, how long readers were silent, resets, submissions refused and lost. It fails when a token was lost, doubled or
mixed with another generation's, when a job is stuck, and when a process died that no fault killed.
`--store hosts` (`make hosts`) does the same with hosts of their own (network namespaces) whose links are cut.
"""
