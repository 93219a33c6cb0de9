"""What a host needs besides the runtime, as files to be put there."""
