"""Running training elsewhere, so that no application waits for it.

A job is a process that is given a project folder; it answers with small messages
(`napari_sslseg.training.events`) and leaves its results in the folder.
"""
