"""The five steps of the loop, one module each. Sections show a session and call it."""
