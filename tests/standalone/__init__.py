"""`wsd standalone`."""
