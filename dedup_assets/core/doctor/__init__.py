"""Looking after a store: what is wrong with it, what can be rebuilt, and what nobody needs any more."""
