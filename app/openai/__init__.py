"""OpenAI's two interfaces, Chat Completions and Responses, as maps to our requests and folds of our logs."""
