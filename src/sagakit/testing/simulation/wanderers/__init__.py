"""An app whose processes are drawn: what each instance does, the message that starts it says."""
