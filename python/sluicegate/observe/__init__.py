"""What a process says of itself: its log, its metrics, its admin listener."""
