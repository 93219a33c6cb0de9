"""What happened, by run, host and number; each event once."""
