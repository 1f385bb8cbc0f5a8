"""The supervisor: what `tokentail up` is made of. It starts, tends and stops processes, and knows nothing of jobs."""
