"""A shop: orders, inventory and payments in one process, behind an HTTP gateway."""
