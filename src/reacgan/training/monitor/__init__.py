"""What is known of a run while it goes on: signals, checks, diagnosis, periodic scores."""
