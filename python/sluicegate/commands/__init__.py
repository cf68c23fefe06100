"""The commands of the command line, one module each; `sluicegate.cli` says how they are called."""
