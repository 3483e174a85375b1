"""The command line: one file a command. They parse, build and call."""
