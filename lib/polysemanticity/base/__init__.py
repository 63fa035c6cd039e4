"""What everything stands on: checks, random streams, settings, the run, folders, checkpoints. Imports nothing above."""
