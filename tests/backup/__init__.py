"""`wsd backup`."""
