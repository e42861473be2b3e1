"""The pure core: it decides, and does nothing else. No input or output, no clock, no chance, no event loop."""
