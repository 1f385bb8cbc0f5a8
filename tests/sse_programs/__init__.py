"""SSE clients of others: each prints as JSON what it was given. `python -m tests.sse_clients` runs them."""
