"""What a person looks at, asks and decides: pages, groups, reviews, what-if. The Explorer stands on this."""
