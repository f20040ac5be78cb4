"""The LAYERS registry and one file a layer. Shapes and integers only."""
