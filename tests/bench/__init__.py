"""What things cost, measured on demand: `make bench`."""
