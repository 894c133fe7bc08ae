"""What the box's processor is and how it is doing."""
