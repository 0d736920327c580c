"""What is kept, and where: the database, arrays, locks, published tables."""
