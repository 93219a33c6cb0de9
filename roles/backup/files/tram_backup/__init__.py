"""This host's backup."""
