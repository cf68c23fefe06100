"""The processes that serve: `serve`, `controller` and `gateway`, and what all of them have."""
