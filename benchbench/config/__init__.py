"""What a trial or a grid is: specs, grid files, their axes, comparisons, and the kinds of plugin."""
