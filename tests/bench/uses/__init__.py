"""What the pages of uses cost the daemon: `python -m tests.bench.uses`; `pages` has what the users of each page do."""
