"""Who is a duplicate of whom, who stays, what reviewers decided, and the rules that always hold."""
