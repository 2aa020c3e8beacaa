"""Active learning: which slice a person should label or correct next, and why. numpy, scipy."""
