"""What a client can ask for, whatever server carries it."""
