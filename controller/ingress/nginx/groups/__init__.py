"""A module for each group of annotations: `read` makes features of them, and tells what it cannot read."""
