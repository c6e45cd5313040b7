"""The protocol of pywebsocket handlers."""
