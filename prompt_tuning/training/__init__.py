"""What `ptune train` does, method by method, from the config to the record."""
