"""Real servers for tests: started from wheels on free ports, unless the environment points elsewhere."""
