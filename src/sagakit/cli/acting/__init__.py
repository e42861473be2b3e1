"""Commands that change something: the engine that owns the database carries them out."""
