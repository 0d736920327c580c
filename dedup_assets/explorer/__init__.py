"""The Explorer: a local web page to look at a store, compare near duplicates and decide."""
