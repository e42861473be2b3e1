"""What an engine tells those who observe it."""
