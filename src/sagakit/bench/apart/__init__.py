"""What is measured by hand, beside `sagakit bench`."""
