"""The shop over gRPC: its services, and what calls them."""
