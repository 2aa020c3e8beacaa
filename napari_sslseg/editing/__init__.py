"""What a hand does to a mask, as operations on arrays: mend, find doubt, compare."""
