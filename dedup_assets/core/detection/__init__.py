"""How alike two pictures are: embedders, the search for neighbours, and the comparison of candidates."""
