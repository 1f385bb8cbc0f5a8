"""Jobs: requests, records, the queue, the workers, and what brings every job to its end."""
