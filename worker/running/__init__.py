"""Running jobs: from the queue, through an attempt, to the end of the log."""
