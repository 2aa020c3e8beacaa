"""The plugin: layers, panel, and what napari calls to read, write and open samples."""
