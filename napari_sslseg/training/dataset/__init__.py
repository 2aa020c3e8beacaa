"""Training on a folder of volumes or pictures: description, run, prediction and scores.

The same frameworks and the same training step as for a single volume; cases instead of slices, a
number of steps instead of a time budget, and a state from which an interrupted run goes on exactly.
"""
