"""The command line: a module a command. They load what they need when they are called, so `--help` is quick."""
