"""Active learning: which slice a person should look at next, and why. numpy only."""
