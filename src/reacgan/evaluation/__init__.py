"""Scores of generators and folders, each with its protocol."""
