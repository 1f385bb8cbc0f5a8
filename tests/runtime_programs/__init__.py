"""tokentail.js in other runtimes than browsers: programs of `make runtimes`."""
