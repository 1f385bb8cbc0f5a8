"""Programs of clients that speak to OpenAI: each prints as JSON what it read. `python -m tests.clients` runs them."""
