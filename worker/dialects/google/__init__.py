"""Google's Gemini interface."""
