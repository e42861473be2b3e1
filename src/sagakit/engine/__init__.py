"""The asynchronous shell: loads, calls the core, commits. Knows ports, never adapters."""
