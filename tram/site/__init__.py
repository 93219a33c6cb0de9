"""What runs on a host: accept a signed order, apply it, prove it, report it. Standard library only."""
