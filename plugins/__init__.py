"""The shipped plugins, one file each. They register by entry points, as a stranger's package does."""
