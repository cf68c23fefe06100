"""Header parsing, matching and compiling in the three builds of the router."""
