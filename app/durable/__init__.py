"""Durable Streams, the read side: a job's log and its text as streams that clients of that protocol read."""
