"""What must hold of an app before it runs. Each check gives its problems, one line each: where, what, and the mend."""
