"""What is read from topics, on its way to the doors of an engine."""
