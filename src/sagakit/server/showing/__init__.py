"""What is shown of a store to readers: found by name, drawn as JSON, or streamed as it changes."""
