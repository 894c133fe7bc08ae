"""Heavy engines in processes of their own: the process, what is said over its socket, and who keeps it alive."""
