"""What happened to every image and every dataset version."""
