"""A stand-in for GitHub's REST API, as far as an Action that reports on pull requests uses it."""
