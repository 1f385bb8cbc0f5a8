"""Servers and protocols: Flask, ASGI, WebSocket, static files."""
