"""What the user has: images and where they lie, classes, ink and proposals (numpy only)."""
