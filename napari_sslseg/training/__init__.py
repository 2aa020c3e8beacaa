"""The engine's training: from reference slices to proposals for the whole volume.

``events``, ``control`` and ``request`` are free of torch, so that an application can talk
about a training run without importing it.
"""
