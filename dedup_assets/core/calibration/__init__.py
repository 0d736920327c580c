"""What a distance means on a set of images: planted edits, recall, false pairs, and the picture of the curve."""
