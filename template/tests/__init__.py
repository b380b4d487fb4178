"""The tests, by what they watch."""
