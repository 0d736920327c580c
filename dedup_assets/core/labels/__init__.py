"""Labels: reading and writing the formats that training code uses, and comparing the labels of duplicates."""
