"""The log: its elements, cursors, batches, and the copies of its end that processes keep. Nothing here does I/O."""
