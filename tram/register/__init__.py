"""The site register: who is where, on which link, with which hosts. The source everything else is fed from."""
