"""What is known: events of the sources in (`store`), immutable views of all objects out (`snapshot`)."""
