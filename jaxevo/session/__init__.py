"""Sessions: begin, resume and replay runs in one process."""
