"""Redis: every key, every script, and the one place where errors of redis-py become this project's own."""
