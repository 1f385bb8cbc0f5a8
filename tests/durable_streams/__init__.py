"""The conformance tests of Durable Streams, on the reads of a web process: `make durable-streams`."""
