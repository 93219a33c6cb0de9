"""What the province adds to Mayan: a scanner before every door, its Vietnamese, its directory."""
