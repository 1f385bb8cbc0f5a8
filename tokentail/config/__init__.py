"""Configuration: settings, addresses and providers' endpoints, read once and checked as a whole."""
