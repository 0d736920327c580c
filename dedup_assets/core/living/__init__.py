"""What changed since the last run, what is due, what a run would do, and the way back."""
