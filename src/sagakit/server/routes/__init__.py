"""What sagakit itself answers over HTTP."""
