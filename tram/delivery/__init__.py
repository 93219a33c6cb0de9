"""Delivery: an order and what it needs over a line that fails, and everything the host has to tell back, once."""
