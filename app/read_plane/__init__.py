"""The read plane: what waits, by coroutines. The same answers as Flask's, from logs' tails in memory."""
