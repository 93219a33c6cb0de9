"""What one host is to be given: exact, reproducible, signed."""
