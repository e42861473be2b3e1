"""What puts a command into a transaction of the user's own. It needs no driver but the user's."""
