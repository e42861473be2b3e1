"""Several workers on one store: who they are, and what each of them owns."""
