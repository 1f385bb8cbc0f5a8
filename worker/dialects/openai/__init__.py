"""OpenAI's interfaces, and servers that speak them."""
