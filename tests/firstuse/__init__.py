"""The first part of a page, followed to the letter in an empty folder with only the wheel installed."""
