"""The limits of handlers, as an engine applies them."""
