"""Commands of the practice."""
