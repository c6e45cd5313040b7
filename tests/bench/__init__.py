"""What wsd costs beside its peers, measured on demand: `make bench`."""
