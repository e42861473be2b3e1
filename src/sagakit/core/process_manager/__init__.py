"""Process managers: a frozen class that evolves by events and reacts with commands; it undoes and ends by itself."""
