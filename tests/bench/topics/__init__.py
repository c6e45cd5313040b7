"""What topics cost: `python -m tests.bench.topics`, with a module for each measurement."""
