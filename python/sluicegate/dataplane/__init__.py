"""What a data plane has and follows: the stream to its controller, what it holds of it, and the file that keeps it."""
