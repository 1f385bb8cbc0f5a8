"""The HTTP interfaces of providers: requests to be sent, and answers to be parsed. Pure."""
