"""What goes over a topic: messages, and the form that they have as records."""
