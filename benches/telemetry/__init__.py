"""What traces cost the process of a gateway: CPU time of a request without them, switched off, and at two rates."""
