"""Acting once on a host, over ssh: bootstrap, drills, log collection."""
