"""What a host tells about itself, written as files for node_exporter; runs on hosts, from the runtime."""
