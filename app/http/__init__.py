"""What HTTP means here: responses, access, queries, bodies, OpenAPI. Pure: no server and no I/O."""
