"""Speed and memory against Hugging Face's libraries, with a check that both do the same work."""
