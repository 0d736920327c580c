"""The commands of the command line: one file for each thing a person wants, each importing what it needs late."""
