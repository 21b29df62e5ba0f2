"""Monitoring of a run: signals, checks, diagnosis, periodic scores."""
