"""The only place in which a web process waits for news of jobs."""
