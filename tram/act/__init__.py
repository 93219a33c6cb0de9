"""Act once on a host, over ssh: take over a bare one, fetch its journal. What repeats belongs to the roles."""
