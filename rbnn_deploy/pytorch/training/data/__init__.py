"""Where batches come from: images in memory, image files, and somebody's own loaders."""
