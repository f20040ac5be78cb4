"""The handwritten digits that ship with Engram, with their licence. Data files only."""
